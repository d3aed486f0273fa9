-- What a provider forgot before it was read, inside of an account's coverage: no report tells it, so events do.

ALTER TABLE accounts ADD COLUMN never_read tstzmultirange NOT NULL DEFAULT '{}';
