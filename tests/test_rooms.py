"""The picture of the stages agrees with the imports."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "docs" / "draw_rooms.py"


def test_the_picture_of_the_stages_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("draw_rooms", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    draw_rooms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw_rooms)
    drawn = draw_rooms.draw(draw_rooms.read_rooms())
    assert draw_rooms.PICTURE.read_text(encoding="utf-8") == drawn, "run python docs/draw_rooms.py"
