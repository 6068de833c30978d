"""Who may take a class's tasks stands in it as a list or, of many, packed: functions that read both.

With 10,000 people a list of ids was most of what a class took to store and to read: 67 KB of JSON, compressed by
PostgreSQL in 3 ms; packed it is a bit for each id (`app.engine.snapshot.pack`). Code before this lists only, and reads
lists only: with teams of 500 or more no process of it may go on beside this one's.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# NumPy packs bits from the left of each byte, get_bit counts from its right: hence # 7 (exclusive or).
_HAVE = """
CREATE FUNCTION ids_have(ids jsonb, id bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    place bigint;
    bits bytea;
BEGIN
    IF jsonb_typeof(ids) <> 'string' THEN
        RETURN ids @> to_jsonb(id);
    END IF;
    place = id - split_part(ids #>> '{}', ':', 1)::bigint;
    bits = decode(split_part(ids #>> '{}', ':', 2), 'base64');
    IF place < 0 OR place >= 8 * length(bits) THEN
        RETURN false;
    END IF;
    RETURN get_bit(bits, place # 7) = 1;
END $$
"""
_OF = """
CREATE FUNCTION ids_of(ids jsonb) RETURNS SETOF bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    first bigint;
    bits bytea;
BEGIN
    IF jsonb_typeof(ids) <> 'string' THEN
        RETURN QUERY SELECT value::bigint FROM jsonb_array_elements_text(ids) value;
        RETURN;
    END IF;
    first = split_part(ids #>> '{}', ':', 1)::bigint;
    bits = decode(split_part(ids #>> '{}', ':', 2), 'base64');
    RETURN QUERY
        SELECT first + place FROM generate_series(0, 8 * length(bits) - 1) place WHERE get_bit(bits, place # 7) = 1;
END $$
"""
_LISTED = """
UPDATE class_snapshots SET content = content || jsonb_build_object(
    'eligible', (SELECT coalesce(jsonb_agg(id ORDER BY id), '[]') FROM ids_of(content -> 'eligible') id),
    'preferences', (
        SELECT coalesce(jsonb_agg(jsonb_set(
                   one, '{2}', (SELECT coalesce(jsonb_agg(id ORDER BY id), '[]') FROM ids_of(one -> 2) id)
               ) ORDER BY number), '[]')
        FROM jsonb_array_elements(content -> 'preferences') WITH ORDINALITY AS each(one, number)
    ))
WHERE jsonb_typeof(content -> 'eligible') = 'string'
"""


def upgrade() -> None:
    op.execute(_HAVE)
    op.execute(_OF)


def downgrade() -> None:
    op.execute(_LISTED)
    op.execute("DROP FUNCTION ids_have(jsonb, bigint)")
    op.execute("DROP FUNCTION ids_of(jsonb)")
