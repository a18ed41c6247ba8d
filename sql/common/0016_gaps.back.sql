-- loses: the gap ledger, and which gaps a source was asked about again
DROP FUNCTION assess_session;
DROP TABLE gap_requests;
DROP TABLE gap_coverage;
DROP TABLE session_gaps;
DROP TABLE gap_assessments;
