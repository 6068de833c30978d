# Two images from one file: `app` (API, worker, migrations, the АИС emulator) and `dashboard`.
# docker compose builds both; alone: docker build --target app -t executor-balancer .
FROM python:3.12-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:$PATH
WORKDIR /srv/executor-balancer

# Every requirement has a wheel and a hash: nothing is compiled, nothing unknown gets in.
FROM base AS build-app
RUN python -m venv /opt/venv
COPY requirements/production.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r production.txt \
    && python -m compileall -q /opt/venv

FROM build-app AS build-dashboard
COPY requirements/dashboard.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r dashboard.txt \
    && python -m compileall -q /opt/venv

FROM base AS runtime
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin balancer
COPY alembic.ini init_db.py demo.py ./
COPY alembic ./alembic
COPY app ./app
COPY ais_emulator ./ais_emulator
COPY streamlit_app ./streamlit_app
# COPY keeps modes: a checkout made under umask 077 would be closed to the user of the image.
RUN chmod -R u=rwX,go=rX .
# What little is written goes to /tmp: the rest of the file system may be read-only.
ENV HOME=/tmp \
    PYTHONPATH=/srv/executor-balancer
USER 10001

FROM runtime AS dashboard
COPY --from=build-dashboard /opt/venv /opt/venv
EXPOSE 8501
CMD ["streamlit", "run", "streamlit_app/dashboard.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true", "--browser.gatherUsageStats", "false"]

FROM runtime AS app
COPY --from=build-app /opt/venv /opt/venv
EXPOSE 8000 9101
STOPSIGNAL SIGTERM
CMD ["uvicorn", "app.main:app", "--http", "app.api.edge.http_protocol:BoundedProtocol", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "25"]
