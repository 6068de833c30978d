"""The few styles that the theme cannot say. Colours come from the text's own, so that they fit light and dark."""

import streamlit as st

OVER, UNDER, EVEN = "#d97706", "#3b82f6", "#0f9488"
"""Too much, too little, as it should be: told apart by colour-blind people too, and never by colour alone."""
PURPLE = "#8b5cf6"
"""One more line beside them."""

_CSS = f"""
<style>
/* A part that refreshes keeps its face: no fading while it does. */
[data-stale="true"], .stale-element {{ opacity: 1 !important; transition: none !important; }}
.block-container {{ padding: 3.2rem 2.5rem 3rem 2.5rem; max-width: 1400px; }}
/* What is chosen is written in the text's colour: the theme's own is too dim for it on dark. */
[role="radio"][aria-checked="true"][data-variant], [role="radio"][aria-checked="true"][data-variant] *,
  [data-testid="stTab"][aria-selected="true"], [data-testid="stTab"][aria-selected="true"] * {{
  color:inherit !important; }}
h1 {{ font-size: 1.75rem !important; padding: 0 0 .2rem 0 !important; }}
h3 {{ font-size: 1.15rem !important; }}
:focus-visible {{ outline: 2px solid {EVEN} !important; outline-offset: 2px; }}
.figures {{ display:grid; grid-template-columns:repeat(auto-fit, minmax(min(8.6rem, 46%), 1fr)); gap:.8rem; }}
/* Names of one row share their height, and so do values: the figures stand on one line. */
.figure {{ border:1px solid color-mix(in srgb, currentColor 16%, transparent); border-radius:.6rem;
  padding:.7rem .9rem; min-width:0; display:grid; grid-template-rows:subgrid; grid-row:span 3; row-gap:0; }}
.figure .label {{ font-size:.88rem; opacity:.82; line-height:1.25; }}
.figure .value {{ font-size:1.7rem; line-height:1.35; font-variant-numeric:tabular-nums; overflow-wrap:anywhere; }}
.figure .note {{ font-size:.84rem; opacity:.72; min-height:1.2em; overflow-wrap:anywhere; }}
.st-key-own_labels {{ display:none; }}
.nowrap {{ white-space:nowrap; }}
.hint {{ position:relative; display:inline-block; width:1.15em; text-align:center; border-radius:50%; cursor:help;
  white-space:normal; font-size:.8em; border:1px solid color-mix(in srgb, currentColor 40%, transparent); }}
.hint .what {{ display:none; position:absolute; z-index:1000; left:50%; top:1.7em; transform:translateX(-50%);
  width:max-content; max-width:min(20rem, 70vw); padding:.6rem .8rem; border-radius:.5rem; text-align:left;
  font-size:.85rem; line-height:1.4; background:#14211f; color:#f1f5f4; opacity:1; }}
.hint:hover .what, .hint:focus .what {{ display:block; }}
.figure:last-child .hint .what {{ left:auto; right:-.5rem; transform:none; }}
.live-dot {{ display:inline-block; width:.6em; height:.6em; border-radius:50%; background:{EVEN}; margin-right:.45em; }}
.live-dot.off {{ background:{OVER}; }}
.muted {{ opacity:.72; font-size:.9rem; }}
.dev {{ width:100%; border-collapse:collapse; font-variant-numeric:tabular-nums; font-size:.92rem; }}
.dev th {{ text-align:left; font-weight:600; opacity:.72; font-size:.82rem; padding:.25rem .4rem; border:0;
  border-bottom:1px solid color-mix(in srgb, currentColor 18%, transparent); }}
.dev td {{ padding:.28rem .4rem; border:0; border-bottom:1px solid color-mix(in srgb, currentColor 8%, transparent);
  vertical-align:middle; }}
.dev td.n, .dev th.n {{ text-align:right; white-space:nowrap; }}
.dev.wrap td.n {{ white-space:normal; }}
.dev td.name {{ max-width:14rem; overflow:hidden; text-overflow:ellipsis; white-space:nowrap; }}
.dev th.bar {{ text-align:center; }}
.dev td.bar {{ width:46%; min-width:7rem; }}
.dev .axis {{ position:relative; height:1.05rem; border-radius:.2rem;
  background:linear-gradient(color-mix(in srgb, currentColor 45%, transparent) 0 0) 50% / 1px 100% no-repeat,
  color-mix(in srgb, currentColor 5%, transparent); }}
.dev .axis div {{ position:absolute; top:.18rem; bottom:.18rem; border-radius:.15rem; }}
.why {{ display:grid; grid-template-columns:minmax(8rem,auto) 1fr auto; gap:.35rem .8rem; align-items:center; }}
.why .track {{ height:.7rem; border-radius:.35rem; background:color-mix(in srgb, currentColor 9%, transparent); }}
.why .fill {{ height:100%; border-radius:.35rem; background:{OVER}; }}
.why .fill.calm {{ background:{EVEN}; }}
.steps {{ list-style:none; margin:0; padding:0 0 0 1.1rem;
  border-left:2px solid color-mix(in srgb, currentColor 18%, transparent); }}
.steps li {{ position:relative; padding:.1rem 0 .8rem .3rem; margin:0; }}
.steps li::before {{ content:""; position:absolute; left:-1.5rem; top:.42rem; width:.7rem; height:.7rem;
  border-radius:50%; background:{EVEN}; }}
.steps li.drop::before {{ background:{OVER}; }}
.pill {{ display:inline-block; padding:.05rem .55rem; border-radius:1rem; font-size:.82rem; white-space:nowrap;
  background:color-mix(in srgb, currentColor 10%, transparent); }}
@media (max-width: 640px) {{
  .block-container {{ padding:4rem 1rem 2rem 1rem; }}
  .dev td.name {{ max-width:7.5rem; }}
  .dev .wide {{ display:none; }}
  .figure .value {{ font-size:1.35rem; }}
  .hint .what {{ position:fixed; left:5vw !important; right:5vw !important; top:auto; bottom:1rem; max-width:none;
    width:auto; transform:none; }}
}}
/* A projector, or a wall: larger words, and no more empty space beside them than on a desk. */
@media (min-width: 1800px) {{
  html {{ font-size: 17.5px !important; }}
  .block-container {{ max-width: 1640px; }}
}}
@media print {{ [data-testid="stSidebar"], [data-testid="stHeader"] {{ display:none; }} }}
</style>
"""


def apply() -> None:
    """Put the styles into the page."""
    st.html(_CSS)
