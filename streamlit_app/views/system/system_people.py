"""Users with their roles and teams."""

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import moment
from streamlit_app.parts import notices
from streamlit_app.words import t, word


def users() -> None:
    """Users by name, with their roles; new ones and changes."""
    items = session.api().pages("/v1/users")
    pools = {each["pool_id"]: each["name"] for each in st.session_state.pools}
    st.dataframe(
        {
            t("system.user_name"): [each["username"] for each in items],
            t("system.user_role"): [word("common.role", each["role"]) for each in items],
            t("system.user_teams"): [_pool_names(each, pools) for each in items],
            t("system.user_active"): [t(f"common.{'yes' if each['active'] else 'no'}") for each in items],
            t("system.user_seen"): [moment(each["last_login_at"]) for each in items],
        },
        hide_index=True,
    )
    left, right = st.columns(2)
    with left, st.expander(t("system.user_add"), icon=":material/person_add:"):
        _add(pools)
    with right, st.expander(t("system.user_choose"), icon=":material/manage_accounts:"):
        _edit(items, pools)


def _pool_names(user: Json, pools: dict[int, str]) -> str:
    if user["pool_ids"] is None:
        return t("common.all")
    return ", ".join(pools.get(each, str(each)) for each in user["pool_ids"])


def _add(pools: dict[int, str]) -> None:
    with st.form("new_user", border=False):
        username = st.text_input(t("system.user_name") + " *", autocomplete="off")
        password = st.text_input(
            t("system.user_password") + " *", type="password", autocomplete="new-password"
        )
        role, chosen = _role_and_pools("viewer", None, pools, key="new")
        sent = st.form_submit_button(t("common.add"), type="primary")
    if sent:
        body = {"username": username, "password": password, "role": role, "pool_ids": chosen or None}
        with notices.told():
            session.api().post("/v1/users", body)
            _saved()


def _edit(items: list[Json], pools: dict[int, str]) -> None:
    names = {each["user_id"]: each["username"] for each in items}
    chosen = st.selectbox(
        t("system.user_name"), list(names), format_func=names.__getitem__, key="user_choice"
    )
    user = next(each for each in items if each["user_id"] == chosen)
    with st.form(f"user_{chosen}", border=False):
        password = st.text_input(t("system.user_password_new"), type="password", autocomplete="new-password")
        role, pool_ids = _role_and_pools(user["role"], user["pool_ids"], pools, key=str(chosen))
        active = st.checkbox(t("system.user_active"), value=user["active"])
        sent = st.form_submit_button(t("common.save"), type="primary")
    if sent:
        body = {"role": role, "pool_ids": pool_ids or None, "active": active}
        if password:
            body["password"] = password
        with notices.told():
            session.api().patch(f"/v1/users/{chosen}", body)
            _saved()


def _role_and_pools(
    role: str, chosen: list[int] | None, pools: dict[int, str], *, key: str
) -> tuple[str, list[int]]:
    roles = session.ROLES
    picked = st.selectbox(
        t("system.user_role"), roles, index=roles.index(role), format_func=lambda each: t(f"common.role.{each}"),
        key=f"role_{key}",
    )  # fmt: skip
    known = [each for each in chosen or () if each in pools]
    pool_ids = st.multiselect(
        t("system.user_pools"), list(pools), default=known, format_func=pools.__getitem__, key=f"pools_{key}",
        placeholder=t("common.all"),
    )  # fmt: skip
    return picked, pool_ids


def _saved() -> None:
    notices.flash(t("system.user_saved"))
    st.rerun()
