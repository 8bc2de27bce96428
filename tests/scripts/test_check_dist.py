"""What `make dist` compares; the target itself builds the distribution, installs it and uses it."""

from scripts.check_dist import describe_differences


def test_a_wheel_is_compared_with_the_package() -> None:
    """Files that the wheel lacks, and files that it should not have, are both named."""
    assert describe_differences({"a", "b"}, {"a", "b"}) == ""
    assert describe_differences({"a", "b"}, {"b", "c"}) == "missing a; unknown c"
