"""The dashboard: `streamlit run streamlit_app/dashboard.py`. API_URL says where the API is.

Streamlit finds `app` here, imports this file once for it, and runs the file anew as a script for each look at a page.
"""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:  # Streamlit puts the script's folder on the path, not the project
    sys.path.insert(0, ROOT)

if __name__ == "__main__":
    from streamlit_app import shell

    shell.run()
else:
    from streamlit.starlette import App

    from streamlit_app import door

    app = App(__file__, middleware=door.middleware())
