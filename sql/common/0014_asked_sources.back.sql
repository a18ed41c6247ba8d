-- loses: corporate actions, and which loads spoke of a part of a day only
ALTER TABLE loads DROP CONSTRAINT loads_window, DROP COLUMN window_end, DROP COLUMN window_start;
DROP FUNCTION corporate_actions_as_of;
DROP TABLE corporate_actions_history;
DROP TABLE corporate_actions;
