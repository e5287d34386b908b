"""What a run made is found again by its tags."""

from __future__ import annotations

from generator.lab.account.tags import valid
from generator.probe.scope import Place, Scope, scopes


def test_a_run_is_found_by_any_of_its_tags() -> None:
    one, other = Scope.new(), Scope.new()
    place = Place("a-bucket-of-mine", "fra1", is_made=True)
    assert one != other
    assert scopes([one.place_tag(place), other.tag, other.unknown_tag]) == tuple(
        sorted((one, other), key=lambda s: s.id)
    )


def test_a_tag_says_where_objects_are() -> None:
    scope = Scope.new()
    for place in (Place("a-bucket-of-mine", "fra1", is_made=True), Place("x" * 63, "nyc3", is_made=False)):
        assert valid(scope.place_tag(place))
        assert list(scope.places([scope.tag, scope.place_tag(place), scope.unknown_tag])) == [place]


def test_what_another_wrote_is_no_place() -> None:
    scope = Scope("0a")
    tags = ["hardway-probe:0a:made:fra1:", "hardway-probe:0a:made:fra1:b:c", "hardway-probe:0b:made:fra1:bucket", "x"]
    assert list(scope.places(tags)) == []
