"""When a page looks again: after news until they can be seen, and seldom while it is quiet."""

from streamlit_app.parts.live import pulse


def test_after_news_a_page_looks_each_second_until_shared_answers_are_newer() -> None:
    looks = [pulse(100.5 + second, moved_at=100.4, connected=True) for second in range(5)]
    assert len(set(looks[:4])) == 4, "the last look comes when no older answer is shared any more"


def test_without_news_a_page_looks_every_few_seconds() -> None:
    quiet = [pulse(float(second), moved_at=0.0, connected=True) for second in range(100, 160)]
    assert len(set(quiet)) == 12
    unheard = [pulse(float(second), moved_at=0.0, connected=False) for second in range(100, 160)]
    assert len(set(unheard)) == 30, "oftener where the stream is not heard"
