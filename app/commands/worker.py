"""`executor-balancer worker`: the same as `python app/worker.py`."""


def worker() -> None:
    """Run one worker process; start as many as you like, on any machine that reaches the database."""
    from app.worker import main as run_worker

    run_worker()
