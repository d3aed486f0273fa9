-- Closed days as the outbox of the daily push: which have to be summed again, and how far each one's push is.

-- UTC days whose roll-up changed and that no summary has taken in yet. Appended only, so that writers never wait here.
CREATE TABLE summary_changes (
    day  date NOT NULL
);

CREATE FUNCTION note_changed_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO summary_changes (day) SELECT DISTINCT (slot AT TIME ZONE 'UTC')::date FROM touched;
    RETURN NULL;
END
$$;
-- By trigger, because every writer counts: collections, events, re-pricing, repairs, and those to come.
CREATE TRIGGER rollup_inserted AFTER INSERT ON rollup_quarter
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE TRIGGER rollup_updated AFTER UPDATE ON rollup_quarter
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();
CREATE TRIGGER rollup_deleted AFTER DELETE ON rollup_quarter
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION note_changed_days();

-- One row, locked by whoever sums days: the zone their days are cut in, and the first day that the schedule asked for.
CREATE TABLE summary_state (
    is_only    boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    zone       text,
    push_from  date
);
INSERT INTO summary_state DEFAULT VALUES;

ALTER TABLE daily_summaries
    -- Whether the vault is to have this day at all: those before its first push are history.
    ADD COLUMN push_due      boolean NOT NULL DEFAULT false,
    -- Requests sent for the present figures, and what was said to the last one that was not acknowledged.
    ADD COLUMN attempts      integer NOT NULL DEFAULT 0,
    ADD COLUMN last_error    text,
    -- Who sends this day at the moment; a claim that was not settled runs out.
    ADD COLUMN leased_by     text,
    ADD COLUMN leased_until  timestamptz;
