"""What may be shown: no secret of a URL, wherever it stands."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blade_tune.redact import redacted, redacted_url, redacted_value

ANY = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=6, max_size=20
)
SHOWN = "postgresql://me127.0.0.1:5432/db?password=&application_name=x***"  # what else there is


@given(
    secret=ANY,
    form=st.sampled_from(["{}://me:{}@127.0.0.1:5432/db", "{}://me@127.0.0.1/db?password={}"]),
)
def test_a_secret_of_any_characters_is_hidden(secret: str, form: str):
    """Before the host and as an option, escaped or not: no four characters of it in a row are shown."""
    assume(not any(secret[at : at + 4] in SHOWN for at in range(len(secret) - 3)))
    shown = redacted_url(form.format("postgresql", secret))
    assert not any(secret[at : at + 4] in shown for at in range(len(secret) - 3)), shown
    assert shown.startswith("postgresql://me")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://me:pw@h:5432/db?sslmode=require",
            "postgresql://me:***@h:5432/db?sslmode=require",
        ),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("postgresql://me:p@ss-w0rd@h/db", "postgresql://me:***@h/db"),
        (
            "postgresql://me@h/db?sslmode=x&password=a&b=c",
            "postgresql://me@h/db?sslmode=x&password=***",
        ),
        ("postgresql://me:pw@h/db?sslpassword=x", "postgresql://me:***@h/db?sslpassword=***"),
        ("postgresql://me:p?password=x@h/db", "postgresql://me:***?password=***"),
        ("postgresql://:pw@h/db", "postgresql://:***@h/db"),
        ("sqlite:////home/me@work/a:b@c.db", "sqlite:////home/me@work/a:b@c.db"),
        ("https://me:token@example.org/x", "https://me:***@example.org/x"),
        ("host=h password=pw user=me", "host=h password=*** user=me"),
        ("demo", "demo"),
    ],
)
def test_the_rest_of_a_url_is_shown(url: str, shown: str):
    """Where it is and what it is asked is no secret; a file may be called anything."""
    assert redacted_url(url) == redacted_value(url) == shown


def test_urls_in_a_text_are_hidden():
    """Wherever they stand; what stands around them is left as it is, and so is what was hidden before."""
    text = "--storage=postgresql://me:pw@h/db: 'postgres://a:b@h/d?password=x', PGPASSWORD=pw password failed."
    shown = "--storage=postgresql://me:***@h/db: 'postgres://a:***@h/d?password=***', PGPASSWORD=*** password failed."
    assert redacted(text) == redacted(shown) == shown


def test_values_are_hidden_at_any_depth():
    """Keys and kinds of a settings file's values stay."""
    value = {"a": [1, None, ("postgresql://me:pw@h/db", True)]}
    assert redacted_value(value) == {"a": [1, None, ("postgresql://me:***@h/db", True)]}
