"""Backups of the databases and of published files, and the way back from them.

What belongs here: dumps in one snapshot, checksums that the server computes, copies of files by their digests, the
manifest that makes a backup complete, and the restore that is there as a whole or not at all. Physical backups (base
backup and archived log) are PostgreSQL's own business: docs/production/backup.md. No encryption: the store does that.
"""
