-- The audit log writes itself: triggers note every change of what is configured, in the same transaction, with the
-- caller that the session named (app.actor and so on). Nobody may change an entry; each carries the hash of the one before.
-- Statements are parted by lines of two dashes and a word; a colon before a word would be taken for a parameter.

--next what an entry's hash covers; contents by their own salted hash, so that a person's data can be erased
CREATE FUNCTION audit_text(entry audit_log) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(
        entry.id, (extract(epoch FROM entry.at) * 1000000)::bigint, entry.actor, entry.action, entry.entity,
        entry.entity_id, entry.pool_id, entry.request_id, entry.address, encode(entry.content_hash, 'hex')
    )::text
$$;

--next a colon-free separator keeps before and after apart
CREATE FUNCTION audit_content(was jsonb, becomes jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_to(coalesce(was::text, '') || chr(31) || coalesce(becomes::text, ''), 'UTF8')
$$;

--next one writer at a time, until its transaction ends: the id and the hash before are taken under the lock
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7276391405114203);
    NEW.id = nextval(pg_get_serial_sequence('audit_log', 'id'));
    NEW.at = clock_timestamp();
    NEW.previous_hash = coalesce(
        (SELECT hash FROM audit_log ORDER BY id DESC LIMIT 1), decode(repeat('00', 32), 'hex')
    );
    NEW.salt = uuid_send(gen_random_uuid());
    NEW.content_hash = sha256(NEW.salt || audit_content(NEW.before, NEW.after));
    NEW.erased_at = NULL;
    NEW.hash = sha256(NEW.previous_hash || convert_to(audit_text(NEW), 'UTF8'));
    RETURN NEW;
END $$;

--next
CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_chain();

--next the one change allowed erases contents: the chain covers their hash, which stays
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erasable CONSTANT text[] = ARRAY['before', 'after', 'salt', 'erased_at'];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.before IS NULL AND NEW.after IS NULL AND NEW.salt IS NULL AND NEW.erased_at IS NOT NULL
            AND to_jsonb(NEW) - erasable = to_jsonb(OLD) - erasable THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation';
END $$;

--next
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();

--next
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

--next arguments: the entity, its column with the pool (or nothing), then columns whose change alone is no entry
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF current_setting('app.erasing', true) = 'on' THEN
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
