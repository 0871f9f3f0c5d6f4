import datapipe
from datapipe import errors


def test_all_that_is_exported_is_there() -> None:
    for name in datapipe.__all__:
        assert getattr(datapipe, name).__name__ == name


def test_every_error_is_one_of_the_family_and_in_the_tree_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if isinstance(value, type) and value.__module__ == errors.__name__:
            assert issubclass(value, errors.DatapipeError)
            assert name in drawn
