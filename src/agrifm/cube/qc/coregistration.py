"""Whether images lie on each other: shifts to a fraction of a pixel by phase correlation, of scenes and of sensors.

Every clear scene is laid on scenes near in time, of its own sensor and of the finest one; the places that fit these
shifts best are the scenes' positions. What has too little texture, or too few pixels valid in both images, is not
judged; never is it called fine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agrifm.cube.qc.cross_sensor import partners
from agrifm.cube.qc.radiometry import red_and_nir
from agrifm.cube.qc.sample_windows import Image, Look, coarser
from agrifm.cube.qc.thresholds import Finding, limit
from agrifm.season import day_date

SMALLEST = 24
"""Side in pixels below which a window is not judged."""
SEEN = 0.6
"""Share of a window that must be valid in both images."""
SMOOTH = 0.09
"""Standard deviation, cycles per pixel, of the Gaussian that weights frequencies: noise and resampling live above."""
EDGE = 8
"""Pixels over which an image fades out towards what is not valid."""
FARTHEST = 3.0
"""Pixels up to which shifts are looked for."""
STEP = 0.05
"""Pixels between the shifts at which the correlation is computed."""
NEIGHBOURS = 5
"""Scenes nearest in time that a scene is laid on, of its own sensor and of the finest one."""
DAYS = 45
"""Days between two scenes of one sensor that are laid on each other; between sensors ten."""
MOST = 48
"""Scenes of one sensor that are judged, evenly over the season."""
ENOUGH = 2
"""Shifts that a scene must have, else its position is not judged."""

Scene = tuple[str, int]
"""Name of the sensor, and number of the frame."""


@dataclass(frozen=True)
class Shift:
    """How far one image lies from another, in pixels: positive = further down and to the right."""

    down: float
    right: float
    sure: float
    """Of two images, the height of the correlation's peak in deviations of its surroundings; of a scene, its pairs."""

    @property
    def length(self) -> float:
        """Distance in pixels."""
        return float(np.hypot(self.down, self.right))


def measure_shift(image: Image, reference: Image) -> Shift | None:
    """How far `image` lies from `reference`, both (C, H, W) with NaN where not valid; None where it cannot be judged.

    Phase correlation (Kuglin & Hines 1975), the normalised cross power averaged over bands and weighted with a Gaussian
    of low frequencies, evaluated on a fine grid by two matrix products (Guizar-Sicairos et al. 2008). What is laid on
    each other is the steepness of the images: borders of fields stay while the order of light and dark turns round.
    """
    image, reference = (np.hypot(*np.gradient(planes, axis=(1, 2))) for planes in (image, reference))
    known = np.asarray(np.isfinite(image).all(axis=0) & np.isfinite(reference).all(axis=0))
    height, width = known.shape
    if min(height, width) < SMALLEST or known.mean() < SEEN:
        return None
    inside = np.minimum(distance_transform_edt(known) / EDGE, 1)  # else the edges of clouds, alike in both, lie still
    window = np.outer(np.hanning(height), np.hanning(width)) * np.sin(inside * np.pi / 2) ** 2
    rows, cols = np.fft.fftfreq(height), np.fft.fftfreq(width)
    power = np.zeros((height, width), complex)
    for one, other in zip(image, reference, strict=True):
        ours, theirs = (np.fft.fft2(_level(plane, known) * window) for plane in (one, other))
        cross = ours * np.conj(theirs)
        power += cross / np.maximum(np.abs(cross), 1e-12)
    power *= np.exp(-(rows[:, None] ** 2 + cols[None] ** 2) / (2 * SMOOTH**2))
    moves = np.arange(-FARTHEST, FARTHEST + STEP / 2, STEP)
    surface = np.real(np.exp(2j * np.pi * np.outer(moves, rows)) @ power @ np.exp(2j * np.pi * np.outer(cols, moves)))
    top = np.unravel_index(int(surface.argmax()), surface.shape)
    far = np.real(np.fft.ifft2(power)) * power.size
    noise = float(np.median(np.abs(far))) / 0.6745
    peak = float(surface[top]) / max(noise, 1e-12)
    if peak < limit("peak"):
        return None
    return Shift(float(moves[top[0]]), float(moves[top[1]]), peak)


def _level(plane: Image, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The plane less its mean, over its spread, extremes cut at three spreads; 0 where not known."""
    values = plane[known]
    low, middle, high = np.percentile(values, (16, 50, 84))
    spread = max(float(high - low) / 2, 1e-6)
    return np.where(known, np.clip((plane - middle) / spread, -3, 3), 0).astype(np.float64)


@dataclass(frozen=True)
class Link:
    """How far one scene lies from another, metres south and east."""

    one: Scene
    other: Scene
    south: float
    east: float
    pixel: float
    """On which it was measured, metres."""


def scene_positions(looks: Mapping[str, Look]) -> dict[Scene, Shift]:
    """Where scenes lie, in pixels of their sensor, beside the median scene of the finest; absent what cannot be judged.

    Positions fit the shifts between pairs of scenes best: least squares, weighted anew so that single wrong pairs count
    little. A scene with fewer than `ENOUGH` pairs, or without a path of pairs to most others, has no position.
    """
    finest = min(looks.values(), key=_pixel)
    links = [link for look in looks.values() for link in (*_own_links(look), *_links(finest, look))]
    links = _joined(links)
    scenes = sorted({scene for link in links for scene in (link.one, link.other)})
    reference = [number for number, scene in enumerate(scenes) if scene[0] == finest.name]
    if not reference:
        return {}
    places, rest = _fit(links, scenes)
    places -= np.median(places[reference], axis=0)
    found = {}
    for scene, (south, east) in zip(scenes, places, strict=True):
        apart = [off for link, off in zip(links, rest, strict=True) if scene in (link.one, link.other)]
        if len(apart) >= ENOUGH and np.median(apart) <= limit("disagreement"):
            pixel = _pixel(looks[scene[0]])
            found[scene] = Shift(float(south / pixel), float(east / pixel), float(len(apart)))
    return found


def _pixel(look: Look) -> float:
    return float(look.sensor.grid.resolution)


def _clear(look: Look, number: int) -> list[int]:
    """Frames that show enough of a window, at most `MOST`."""
    piece = look.pieces[number]
    if look.sensor.is_composite or min(piece.valid.shape[1:]) < SMALLEST:
        return []
    clear = np.flatnonzero(piece.valid.mean(axis=(1, 2)) >= SEEN)
    return (
        [int(frame) for frame in clear[np.unique(np.linspace(0, len(clear) - 1, MOST).astype(int))]]
        if len(clear)
        else []
    )


def _nearest(look: Look, frames: Sequence[int], day: int, reach: int) -> list[int]:
    """The frames nearest in time to a day."""
    near = [frame for frame in frames if abs(int(look.days[frame]) - day) <= reach]
    return sorted(near, key=lambda frame: abs(int(look.days[frame]) - day))


def _own_links(look: Look) -> Iterator[Link]:
    """Scenes of a sensor on those nearest in time, in the window where most is valid."""
    places = red_and_nir(look)
    bands = [look.bands[place] for place in places] if places is not None else list(look.bands[:2])
    number = max(range(len(look.pieces)), key=lambda one: look.pieces[one].valid.sum())
    clear = _clear(look, number)
    planes = dict(zip(clear, np.moveaxis(_planes(look, bands, number, clear), 1, 0), strict=True)) if clear else {}
    pairs = {
        (min(frame, other), max(frame, other))
        for frame in clear
        for other in _nearest(look, [n for n in clear if n != frame], int(look.days[frame]), DAYS)[:NEIGHBOURS]
    }
    for one, other in sorted(pairs):
        shift = measure_shift(planes[one], planes[other])
        if shift is not None:
            yield _link((look.name, one), (look.name, other), shift, _pixel(look))


def _links(finest: Look, look: Look) -> Iterator[Link]:
    """Scenes of a coarser sensor on those of the finest at most ten days off, on pixels of the coarser."""
    bands = partners(finest, look)
    if look.name == finest.name or not bands:
        return
    ratio = round(_pixel(look) / _pixel(finest))
    number = max(range(len(look.pieces)), key=lambda one: look.pieces[one].valid.sum())
    clear, frames = _clear(finest, number), _clear(look, number)
    near = {frame: _nearest(finest, clear, int(look.days[frame]), 10)[:NEIGHBOURS] for frame in frames}
    used = sorted({other for others in near.values() for other in others})
    if not used:
        return
    ours = _planes(finest, [pair[0] for pair in bands], number, used, ratio)
    theirs = _planes(look, [pair[1] for pair in bands], number, frames)
    for place, frame in enumerate(frames):
        for other in near[frame]:
            shift = measure_shift(theirs[:, place], ours[:, used.index(other)])
            if shift is not None:
                yield _link((look.name, frame), (finest.name, other), shift, _pixel(look))


def _link(one: Scene, other: Scene, shift: Shift, pixel: float) -> Link:
    return Link(one, other, shift.down * pixel, shift.right * pixel, pixel)


def _planes(
    look: Look, bands: Sequence[str], number: int, frames: Sequence[int], ratio: int = 1
) -> NDArray[np.float32]:
    """(bands, frames, H, W) of one window, on pixels `ratio` times as long."""
    return np.stack([coarser(look.image(look.pieces[number], band, frames), ratio) for band in bands])


def _joined(links: Sequence[Link]) -> list[Link]:
    """The links of the largest group of scenes that are all linked with each other, directly or through others."""
    if not links:
        return []
    scenes = sorted({scene for link in links for scene in (link.one, link.other)})
    number = {scene: place for place, scene in enumerate(scenes)}
    ends = [number[link.one] for link in links], [number[link.other] for link in links]
    _, group = connected_components(coo_array((np.ones(len(links)), ends), shape=(len(scenes),) * 2), directed=False)
    largest = int(np.bincount(group).argmax())
    return [link for link in links if group[number[link.one]] == largest]


def _fit(links: Sequence[Link], scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (scenes, 2) in metres that fit the links, and what each link is off them, in pixels."""
    number = {scene: place for place, scene in enumerate(scenes)}
    design = np.zeros((len(links), len(scenes)))
    for row, link in enumerate(links):
        design[row, number[link.one]], design[row, number[link.other]] = 1, -1
    wanted = np.array([(link.south, link.east) for link in links])
    pixel = np.array([link.pixel for link in links])
    weight = 1 / pixel
    for _ in range(10):
        places = np.asarray(np.linalg.lstsq(design * weight[:, None], wanted * weight[:, None], rcond=None)[0], float)
        rest = np.asarray(np.hypot(*(design @ places - wanted).T) / pixel, float)
        weight = 1 / (pixel * np.sqrt(np.maximum(rest, STEP)))
    return places, rest


def shifted(looks: Mapping[str, Look]) -> tuple[list[Finding], list[str]]:
    """Scenes and sensors of reflectance that lie off the others; and notes: smaller shifts, and what is not judged.

    Composites are of many days and are not judged.
    """
    findings, notes = [], []
    positions = scene_positions(looks) if looks else {}
    finest = min(looks.values(), key=_pixel).name if looks else ""
    for name, look in looks.items():
        own = {frame: shift for (sensor, frame), shift in positions.items() if sensor == name}
        if not own:
            notes.append(f"{name}: whether its scenes lie on the ground as the others do cannot be told, {_why(look)}")
            continue
        typical = np.median([(shift.down, shift.right) for shift in own.values()], axis=0)
        notes.append(_told(look, own, finest))
        findings += _off_scenes(look, own, typical)
        if float(np.hypot(*typical)) > limit("shift of a sensor") and len(own) >= ENOUGH:
            sentence = (
                f"'{name}' lies {typical[0]:+.2f} pixels down and {typical[1]:+.2f} right of '{finest}', in its own "
                f"pixels (median of {len(own)} scenes)"
            )
            fix = "check the files' corners and fetch again"
            findings.append(Finding("shifted grid", f"{finest} or {name}", sentence, "likely", fix))
    return findings, notes


def _told(look: Look, own: Mapping[int, Shift], finest: str) -> str:
    """Scenes more than a third of a pixel off, with their dates, and how many cannot be told."""
    wide = {frame: shift.length for frame, shift in own.items() if shift.length > limit("shift")}
    listed = ", ".join(f"{day_date(int(look.sensor.date[frame]))} {far:.2f}" for frame, far in list(wide.items())[:8])
    rest = len(look.days) - len(own)
    return (
        f"{look.name}: {len(own)} scenes lie {np.median([shift.length for shift in own.values()]):.2f} pixels (median) "
        f"off the middle of '{finest}', {len(wide)} of them more than a third"
        + (f" ({listed}{', …' if len(wide) > 8 else ''})" if wide else "")
        + (f"; {rest} scenes cannot be told, too cloudy or unlike those near in time" if rest else "")
    )


def _why(look: Look) -> str:
    if look.sensor.is_composite:
        return "a composite is of many days"
    side = min(min(piece.valid.shape[1:]) for piece in look.pieces)
    if side < SMALLEST:
        return f"windows of {side} of its pixels are smaller than {SMALLEST}"
    return "too few are clear and alike at near dates"


def _off_scenes(look: Look, own: Mapping[int, Shift], typical: NDArray[np.float64]) -> list[Finding]:
    far = {frame: float(np.hypot(shift.down - typical[0], shift.right - typical[1])) for frame, shift in own.items()}
    off = [frame for frame in far if far[frame] > limit("shift of a frame")]
    if not off:
        return []
    days = ", ".join(str(day_date(int(look.sensor.date[frame]))) for frame in off[:5]) + (" …" if len(off) > 5 else "")
    return [
        Finding(
            "shifted grid",
            f"{look.name}, {len(off)} of {len(own)} scenes that can be judged ({days})",
            f"they lie up to {max(far[frame] for frame in off):.1f} pixels off the others",
            "likely",
            "check the files' corners, or list the scenes under `skip`, and fetch again",
        )
    ]
