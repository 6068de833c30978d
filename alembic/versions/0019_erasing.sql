-- Erasing is the database's own work: functions with the owner's rights, which note what they did. The application's
-- role can neither change an entry of the audit log nor have a change noted without its contents.

--next who acted, from where, in which request: hashed with a salt of its own, so that a person can be erased as an actor
ALTER TABLE audit_log ADD COLUMN IF NOT EXISTS identity_salt BYTEA, ADD COLUMN IF NOT EXISTS identity_hash BYTEA;

--next
CREATE FUNCTION audit_identity(actor text, address text, request_id text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_to(jsonb_build_array(actor, address, request_id)::text, 'UTF8')
$$;

--next entries made before have their actor in the text itself
CREATE OR REPLACE FUNCTION audit_text(entry audit_log) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN entry.identity_hash IS NULL THEN jsonb_build_array(
        entry.id, (extract(epoch FROM entry.at) * 1000000)::bigint, entry.actor, entry.action, entry.entity,
        entry.entity_id, entry.pool_id, entry.request_id, entry.address, encode(entry.content_hash, 'hex')
    ) ELSE jsonb_build_array(
        entry.id, (extract(epoch FROM entry.at) * 1000000)::bigint, entry.action, entry.entity,
        entry.entity_id, entry.pool_id, encode(entry.identity_hash, 'hex'), encode(entry.content_hash, 'hex')
    ) END::text
$$;

--next
CREATE OR REPLACE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7276391405114203);
    NEW.id = nextval(pg_get_serial_sequence('audit_log', 'id'));
    NEW.at = clock_timestamp();
    NEW.previous_hash = coalesce(
        (SELECT hash FROM audit_log ORDER BY id DESC LIMIT 1), decode(repeat('00', 32), 'hex')
    );
    NEW.salt = uuid_send(gen_random_uuid());
    NEW.content_hash = sha256(NEW.salt || audit_content(NEW.before, NEW.after));
    NEW.identity_salt = uuid_send(gen_random_uuid());
    NEW.identity_hash = sha256(NEW.identity_salt || audit_identity(NEW.actor, NEW.address, NEW.request_id));
    NEW.erased_at = NULL;
    NEW.hash = sha256(NEW.previous_hash || convert_to(audit_text(NEW), 'UTF8'));
    RETURN NEW;
END $$;

--next the changes allowed erase contents, or who acted: the chain covers their hashes, which stay
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    content CONSTANT text[] = ARRAY['before', 'after', 'salt', 'erased_at'];
    identity CONSTANT text[] = ARRAY['actor', 'address', 'request_id', 'identity_salt'];
    was jsonb;
    becomes jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        was = to_jsonb(OLD);
        becomes = to_jsonb(NEW);
        IF NEW.before IS NULL AND NEW.after IS NULL AND NEW.salt IS NULL AND NEW.erased_at IS NOT NULL THEN
            was = was - content;
            becomes = becomes - content;
        END IF;
        IF OLD.identity_hash IS NOT NULL AND NEW.identity_salt IS NULL AND NEW.actor = 'erased user'
            AND NEW.address IS NULL AND NEW.request_id IS NULL THEN
            was = was - identity;
            becomes = becomes - identity;
        END IF;
        IF was = becomes AND to_jsonb(OLD) <> to_jsonb(NEW) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation';
END $$;

--next the flag counts where the owner's rights work alone: the erasing functions below, or the owner
CREATE FUNCTION is_erasing() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('app.erasing', true), '') = 'on'
        AND pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = 'audit_log'::regclass
$$;

--next
CREATE OR REPLACE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    hidden CONSTANT text[] = ARRAY['password_hash', 'key_hash', 'secret', 'secret_hash', 'token_hash'];
    quiet CONSTANT text[] = TG_ARGV[2 :];
    whole jsonb = to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    was jsonb = CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - quiet END;
    becomes jsonb = CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - quiet END;
    word text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(key, value), jsonb_object_agg(key, becomes -> key) INTO was, becomes
        FROM jsonb_each(was) WHERE value IS DISTINCT FROM becomes -> key;
        IF was IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    IF is_erasing() THEN
        was = NULL;
        becomes = NULL;
    END IF;
    FOREACH word IN ARRAY hidden LOOP
        was = CASE WHEN was ? word THEN was || jsonb_build_object(word, 'hidden') ELSE was END;
        becomes = CASE WHEN becomes ? word THEN becomes || jsonb_build_object(word, 'hidden') ELSE becomes END;
    END LOOP;
    INSERT INTO audit_log (actor, action, entity, entity_id, pool_id, before, after, request_id, address)
    VALUES (
        coalesce(nullif(current_setting('app.actor', true), ''), 'system'),
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
        TG_ARGV[0],
        coalesce(whole ->> 'id', whole ->> 'pool_id', ''),
        coalesce(
            (whole ->> nullif(TG_ARGV[1], ''))::bigint,
            (SELECT pool_id FROM executors WHERE id = (whole ->> 'executor_id')::bigint)
        ),
        was,
        becomes,
        nullif(current_setting('app.request_id', true), ''),
        nullif(current_setting('app.address', true), '')
    );
    RETURN NULL;
END $$;

--next
CREATE OR REPLACE FUNCTION task_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF is_erasing() AND NEW.reason IN (OLD.reason, '')
            AND to_jsonb(NEW) - 'actor' - 'reason' = to_jsonb(OLD) - 'actor' - 'reason' THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (
            SELECT FROM tasks WHERE id = OLD.task_id AND status NOT IN ('completed', 'rejected', 'cancelled')
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'task_events is append-only' USING ERRCODE = 'restrict_violation';
END $$;

--next accounts of today and of before, which the log remembers; a former one that is another's or has another role stays
CREATE FUNCTION accounts_of_executor(person bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT id), '{}') FROM (
        SELECT id FROM users WHERE executor_id = person
        UNION ALL
        SELECT entry.entity_id::bigint FROM audit_log entry
        LEFT JOIN users account ON account.id::text = entry.entity_id
        WHERE entry.entity = 'users'
          AND person::text IN (entry.before ->> 'executor_id', entry.after ->> 'executor_id')
          AND (account.id IS NULL
               OR (account.executor_id IS NULL AND (account.role = 'executor' OR NOT account.active)))
    ) every
$$;

--next all names that these accounts had, but for those that another account has now
CREATE FUNCTION names_of_accounts(accounts bigint[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT name), '{}') FROM (
        SELECT username AS name FROM users WHERE id = ANY(accounts)
        UNION ALL
        SELECT unnest(ARRAY[before ->> 'username', after ->> 'username']) FROM audit_log
        WHERE entity = 'users' AND entity_id = ANY(accounts::text[])
    ) every WHERE name IS NOT NULL AND name NOT IN (SELECT username FROM users WHERE id <> ALL(accounts))
$$;

--next ids of absences of today, and of those removed before
CREATE FUNCTION absences_of_executor(person bigint) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT id), '{}') FROM (
        SELECT id::text FROM executor_absences WHERE executor_id = person
        UNION ALL
        SELECT entity_id FROM audit_log
        WHERE entity = 'executor_absences' AND person::text IN (before ->> 'executor_id', after ->> 'executor_id')
    ) every
$$;

--next takes all that says who an executor was; what the caller changed before in the transaction is noted whole first
CREATE FUNCTION erase_executor(person bigint, new_epoch bigint, moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    nobody CONSTANT text = 'erased user';
    accounts bigint[];
    absences text[];
    names text[];
    pool bigint;
    who text;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM set_config('app.erasing', 'on', true);

    accounts = accounts_of_executor(person);
    names = names_of_accounts(accounts);
    absences = absences_of_executor(person);

    UPDATE executors SET name = 'erased ' || person, external_id = NULL, parameters = '{}', working_hours = NULL,
        active = false, availability = 'offline', version = version + 1, epoch = new_epoch, updated_at = moment
    WHERE id = person RETURNING pool_id INTO pool;
    UPDATE executor_absences SET reason = '' WHERE executor_id = person;
    DELETE FROM move_keys WHERE task_id IN (SELECT task_id FROM task_events WHERE actor = ANY(names));
    UPDATE task_events SET actor = nobody, reason = '' WHERE actor = ANY(names);
    UPDATE assignments SET decided_by = nobody WHERE decided_by = ANY(names);
    UPDATE outbox SET payload = payload || jsonb_build_object('actor', nobody, 'reason', ''), last_error = NULL
    WHERE payload ->> 'actor' = ANY(names);
    UPDATE rule_sets SET author = nobody WHERE author = ANY(names);
    UPDATE api_keys SET created_by = nobody WHERE created_by = ANY(names);
    UPDATE webhooks SET created_by = nobody WHERE created_by = ANY(names);

    -- Replays show people by name, in words and drawings: those with this person go, and can be played again.
    DELETE FROM replays
    WHERE (state IN ('queued', 'running') AND pool_id IN (
            SELECT pool UNION SELECT pool_id FROM assignments WHERE executor_id = person))
       OR jsonb_path_exists(result, '$.**.executor_id ? (@ == $id)', jsonb_build_object('id', person));
    UPDATE replays SET created_by = nobody WHERE created_by = ANY(names);
    DELETE FROM users WHERE id = ANY(accounts);

    UPDATE audit_log SET before = NULL, after = NULL, salt = NULL, erased_at = clock_timestamp()
    WHERE erased_at IS NULL AND (
        (entity = 'executors' AND entity_id = person::text)
        OR (entity = 'users' AND entity_id = ANY(accounts::text[]))
        OR (entity = 'executor_absences' AND entity_id = ANY(absences))
    );
    -- Entries of settings that name them as the author.
    UPDATE audit_log SET before = NULL, after = NULL, salt = NULL, erased_at = clock_timestamp()
    WHERE erased_at IS NULL AND (
        before ->> 'author' = ANY(names) OR after ->> 'author' = ANY(names)
        OR before ->> 'created_by' = ANY(names) OR after ->> 'created_by' = ANY(names)
    );
    UPDATE audit_log SET actor = nobody, address = NULL, request_id = NULL, identity_salt = NULL
    WHERE identity_salt IS NOT NULL AND actor = ANY(names);

    who = coalesce(nullif(current_setting('app.actor', true), ''), 'system');
    INSERT INTO audit_log (actor, action, entity, entity_id, pool_id, request_id, address)
    VALUES (
        CASE WHEN who = ANY(names) THEN nobody ELSE who END, 'erased', 'executors', person::text, pool,
        nullif(current_setting('app.request_id', true), ''), nullif(current_setting('app.address', true), '')
    );
    PERFORM set_config('app.erasing', '', true);
    SET CONSTRAINTS ALL DEFERRED;
END $$;

--next takes what a client's system and the people said of a task that ended; who had it, and when, stays
CREATE FUNCTION erase_task(erased bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    pool bigint;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM set_config('app.erasing', 'on', true);
    UPDATE tasks SET parameters = '{}', external_id = 'erased ' || id, wait_explanation = NULL, origin = NULL
    WHERE id = erased AND status IN ('completed', 'rejected', 'cancelled') RETURNING pool_id INTO pool;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % has not ended', erased USING ERRCODE = 'restrict_violation';
    END IF;
    UPDATE task_events SET reason = '' WHERE task_id = erased;
    UPDATE outbox SET payload = payload || '{"reason": ""}', last_error = NULL WHERE task_id = erased;
    DELETE FROM idempotency_keys WHERE task_id = erased;
    DELETE FROM move_keys WHERE task_id = erased;
    INSERT INTO audit_log (actor, action, entity, entity_id, pool_id, request_id, address)
    VALUES (
        coalesce(nullif(current_setting('app.actor', true), ''), 'system'), 'erased', 'tasks', erased::text, pool,
        nullif(current_setting('app.request_id', true), ''), nullif(current_setting('app.address', true), '')
    );
    PERFORM set_config('app.erasing', '', true);
    SET CONSTRAINTS ALL DEFERRED;
END $$;

--next a table of the same name in a session's own schema must not stand in for the log: its schema is looked in last
DO $$
DECLARE
    home CONSTANT text = (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'audit_log'::regclass);
    one regprocedure;
BEGIN
    FOR one IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = home::regnamespace AND proname IN (
            'audit_chain', 'audit_refuse', 'audit_change', 'is_erasing', 'task_events_refuse', 'accounts_of_executor',
            'names_of_accounts', 'absences_of_executor', 'erase_executor', 'erase_task'
        )
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %s, pg_temp', one, home);
    END LOOP;
END $$;

--next only the application's roles may erase (app/services/setup/database_role.sql)
REVOKE EXECUTE ON FUNCTION erase_executor(bigint, bigint, timestamptz) FROM PUBLIC;

--next
REVOKE EXECUTE ON FUNCTION erase_task(bigint) FROM PUBLIC;
