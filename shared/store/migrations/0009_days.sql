-- Roll-ups by the days of one zone, beside the fine one: what most questions ask, ready to be read.

-- One row: the zone that days are cut in, and how far each roll-up is. Who moves roll-ups shares it until its
-- transaction ends; who cuts days anew keeps everybody off. Instants are within 1900 to 2300, which drivers can read.
CREATE TABLE rollup_state (
    is_only       boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    zone          text NOT NULL DEFAULT 'UTC',
    -- What was recorded before is in `rollup_day`, and is moved there by every writer.
    cut_until     timestamptz NOT NULL,
    -- The same for `rollup_day_keys`. Days that are not over yet are left to the fine roll-up: a writer of today does
    -- not pay for questions about last month.
    closed_until  timestamptz NOT NULL DEFAULT '1900-01-01 00:00+00'
);
INSERT INTO rollup_state (cut_until)
SELECT CASE WHEN EXISTS (SELECT FROM rollup_quarter) THEN '1900-01-01 00:00+00' ELSE '2300-01-01 00:00+00' END::timestamptz;

-- One dimension at a time: the sums of a day (`day` is its first instant) by each key of it; dimension '' is the whole.
-- A cell is the sum over its stripes: transactions that run at once write to one each, so that none waits for another.
CREATE TABLE rollup_day (
    day                    timestamptz NOT NULL,
    dimension              text NOT NULL,
    key                    text NOT NULL,
    stripe                 integer NOT NULL,
    lines                  numeric NOT NULL,
    requests               numeric NOT NULL,
    input_tokens           numeric NOT NULL,
    output_tokens          numeric NOT NULL,
    cache_read_tokens      numeric NOT NULL,
    cache_write_5m_tokens  numeric NOT NULL,
    cache_write_1h_tokens  numeric NOT NULL,
    reasoning_tokens       numeric NOT NULL,
    audio_tokens           numeric NOT NULL,
    image_tokens           numeric NOT NULL,
    web_searches           numeric NOT NULL,
    cost                   numeric NOT NULL,
    input_cost             numeric NOT NULL,
    output_cost            numeric NOT NULL,
    cache_read_cost        numeric NOT NULL,
    cache_write_5m_cost    numeric NOT NULL,
    cache_write_1h_cost    numeric NOT NULL,
    audio_cost             numeric NOT NULL,
    image_cost             numeric NOT NULL,
    web_search_cost        numeric NOT NULL,
    request_cost           numeric NOT NULL,
    unpriced_requests      numeric NOT NULL,
    unpriced_tokens        numeric NOT NULL,
    PRIMARY KEY (day, dimension, key, stripe)
) WITH (fillfactor = 60);

-- Every combination of keys, of days that are over: what filters ask.
CREATE TABLE rollup_day_keys (LIKE rollup_quarter INCLUDING STORAGE);
ALTER TABLE rollup_day_keys RENAME COLUMN slot TO day;
ALTER TABLE rollup_day_keys
    ADD COLUMN stripe integer NOT NULL,
    ADD PRIMARY KEY (day, provider, account_id, model, project, session_type, agent, category, user_name, request_type,
                     source, stripe);
