"""The dashboard: `streamlit run streamlit_app/dashboard.py`. API_URL says where the API is."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:  # Streamlit puts the script's folder on the path, not the project
    sys.path.insert(0, ROOT)

from streamlit_app import shell  # noqa: E402 - after the path

shell.run()
