"""`make fuzz-quick` reports fuzzing as left out where the fuzzer cannot be installed."""

import pytest

from tests.fuzz.__main__ import main


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--all"], 1)])
def test_fuzzing_is_left_out_without_the_fuzzer(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the fuzzer nothing runs, which is a failure only with `--all`."""
    assert main(arguments, install=lambda: False) == code

    assert capsys.readouterr().out == "left out: fuzzing, because atheris cannot be installed here\n"


def test_unknown_targets_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A target that there is not ends in an error that names it."""
    with pytest.raises(SystemExit):
        main(["nobody"])

    assert "unknown: nobody" in capsys.readouterr().err
