-- A row that was released may be restated: what it says now, and the most that a person has said yes to, are two figures.

ALTER TABLE quarantine
    -- Its figures when it was released; 0 in every other state.
    ADD COLUMN believed_cost   numeric NOT NULL DEFAULT 0,
    ADD COLUMN believed_tokens numeric NOT NULL DEFAULT 0;

UPDATE quarantine SET believed_cost = coalesce(cost, 0), believed_tokens = tokens WHERE state = 'released';
