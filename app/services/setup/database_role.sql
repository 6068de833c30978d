-- Roles of the API and the workers, and their rights. Run by the owner of the tables after the migrations; it
-- changes only what differs. `app.login` names a login to be made or granted to, or is empty.
DO $$
DECLARE
    mark CONSTANT text = 'Executor Balancer: the API and the workers';
    narrow CONSTANT text = 'executor_balancer_app';
    login CONSTANT text = coalesce(current_setting('app.login', true), '');
    verifier CONSTANT text = coalesce(current_setting('app.login_verifier', true), '');
    log CONSTANT oid = to_regclass('audit_log');
    owner CONSTANT oid = (SELECT relowner FROM pg_class WHERE oid = log);
    home CONSTANT oid = (SELECT relnamespace FROM pg_class WHERE oid = log);
    grantee record;
    thing record;
BEGIN
    IF log IS NULL OR NOT pg_has_role(owner, 'USAGE') THEN
        RETURN;
    END IF;

    -- Roles are the server's: another database's migration may make one at the same moment.
    IF to_regrole(narrow) IS NULL AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', narrow);
            EXECUTE format('COMMENT ON ROLE %I IS %L', narrow, mark);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF login <> '' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', login)
                || CASE WHEN verifier <> '' THEN format(' PASSWORD %L', verifier) ELSE '' END;
            EXECUTE format('COMMENT ON ROLE %I IS %L', login, mark);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING MESSAGE = format(
                    'the role %s of DATABASE_URL does not exist, and %s may not make it; as an administrator of the'
                    ' server: CREATE ROLE %I LOGIN PASSWORD ''(the one in DATABASE_URL)''', login, current_user, login
                );
        END;
    ELSIF verifier <> '' AND EXISTS (
        SELECT FROM pg_roles WHERE rolname = login AND NOT rolsuper AND shobj_description(oid, 'pg_authid') = mark
    ) AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('ALTER ROLE %I PASSWORD %L', login, verifier);
    END IF;

    -- Also a role that got its rights earlier, so that a migration by other settings leaves no table closed to it.
    FOR grantee IN
        SELECT role.oid, role.rolname AS name FROM pg_roles role
        WHERE NOT role.rolsuper AND NOT pg_has_role(role.oid, owner, 'MEMBER') AND (
            role.rolname IN (narrow, login)
            OR EXISTS (
                SELECT FROM pg_class, aclexplode(relacl) given
                WHERE pg_class.oid = log AND given.grantee = role.oid AND given.privilege_type = 'INSERT'
            )
        )
    LOOP
        IF NOT has_schema_privilege(grantee.oid, home, 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', home::regnamespace, grantee.name);
        END IF;
        IF NOT has_database_privilege(grantee.oid, current_database(), 'CONNECT') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), grantee.name);
        END IF;
        FOR thing IN
            SELECT class.oid::regclass AS name, class.relkind = 'S' AS is_sequence, wanted.rights
            FROM pg_class class
            CROSS JOIN LATERAL (
                SELECT CASE
                    WHEN class.relkind = 'S' THEN ARRAY['SELECT', 'USAGE']
                    WHEN class.relname = 'alembic_version' THEN ARRAY['SELECT']
                    WHEN class.relname = 'audit_log' THEN ARRAY['INSERT', 'SELECT']
                    WHEN class.relname = 'task_events' THEN ARRAY['DELETE', 'INSERT', 'SELECT']
                    ELSE ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']
                END AS rights
            ) wanted
            WHERE class.relnamespace = home AND class.relkind IN ('r', 'p', 'v', 'S')
              AND pg_has_role(class.relowner, 'USAGE')
              AND wanted.rights IS DISTINCT FROM (
                  SELECT array_agg(given.privilege_type::text ORDER BY given.privilege_type)
                  FROM aclexplode(class.relacl) given WHERE given.grantee = grantee.oid
              )
        LOOP
            EXECUTE format(
                'REVOKE ALL ON %s %s FROM %I',
                CASE WHEN thing.is_sequence THEN 'SEQUENCE' ELSE 'TABLE' END, thing.name, grantee.name
            );
            EXECUTE format(
                'GRANT %s ON %s %s TO %I', array_to_string(thing.rights, ', '),
                CASE WHEN thing.is_sequence THEN 'SEQUENCE' ELSE 'TABLE' END, thing.name, grantee.name
            );
        END LOOP;
        FOR thing IN
            SELECT oid::regprocedure AS name FROM pg_proc
            WHERE pronamespace = home AND prosecdef AND proname IN ('erase_executor', 'erase_task')
              AND pg_has_role(proowner, 'USAGE') AND NOT has_function_privilege(grantee.oid, oid, 'EXECUTE')
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', thing.name, grantee.name);
        END LOOP;
        -- An earlier version granted these columns; revoking what was not granted does nothing.
        EXECUTE format('REVOKE UPDATE (before, after, salt, erased_at) ON audit_log FROM %I', grantee.name);
    END LOOP;
END $$
