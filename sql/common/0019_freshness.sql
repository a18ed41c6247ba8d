-- What an answer was about, beside what it depended on: one more instrument does not make the others' answers stale.

ALTER TABLE loads
    ADD COLUMN answer_basis text,
    ADD COLUMN answered text[],
    ADD CHECK ((answer_basis IS NULL) = (answered IS NULL));
COMMENT ON COLUMN loads.answer_basis IS
    'Digest of what the answers depend on but for the choice of instruments; of a session that was running, of that too.';
COMMENT ON COLUMN loads.answered IS
    'Instruments of which the source''s answer was taken in, by digest: also those that gave no row.';
