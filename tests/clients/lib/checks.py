"""What scenarios say when something is not as it must be."""


def check(condition, message):
    """Raises with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def equal(what, got, expected):
    """Raises unless both are equal, with the first difference."""
    if got == expected:
        return
    if isinstance(got, list) and isinstance(expected, list):
        place = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
        raise AssertionError(f"{what}: {len(got)} instead of {len(expected)}, first difference at {place}: {got[place:place + 1]!r:.150} instead of {expected[place:place + 1]!r:.150}")
    raise AssertionError(f"{what}: {got!r:.180} instead of {expected!r:.180}")
