"""Check co-registration: shifts of scenes and sensors to a fraction of a pixel, by phase correlation.

Every clear scene is compared with scenes near in time, of its sensor and of the finest one; the positions of the scenes
are those that fit these shifts best. Scenes with too little texture, or too few pixels valid in both images, are
reported as not assessed, never as passed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agrifm.cube.qc.cross_sensor import shared_bands
from agrifm.cube.qc.radiometry import red_and_nir
from agrifm.cube.qc.sample_windows import Image, SensorWindows, coarser
from agrifm.cube.qc.thresholds import Finding, list_days, threshold
from agrifm.season import day_date

MIN_SIDE = 24
"""Side in pixels below which a window is not assessed."""
MIN_VALID_SHARE = 0.6
"""Share of a window that must be valid in both images."""
FREQUENCY_SIGMA = 0.09
"""Standard deviation, cycles per pixel, of the Gaussian that weights frequencies; higher ones are noise."""
TAPER_PIXELS = 8
"""Pixels over which an image is faded out towards invalid pixels."""
MAX_SHIFT = 3.0
"""Pixels up to which shifts are searched."""
SHIFT_STEP = 0.05
"""Pixels between the shifts at which the correlation is computed."""
MAX_NEIGHBOURS = 5
"""Scenes nearest in time that a scene is compared with, of its sensor and of the finest one."""
MAX_DAYS_BETWEEN_SCENES = 45
"""Days between two scenes of one sensor that are compared."""
MAX_DAYS_BETWEEN_SENSORS = 10
"""Days between two scenes of different sensors that are compared; more of a field changes with its bands."""
MAX_SCENES = 48
"""Scenes of one sensor that are assessed, evenly over the season."""
MIN_PAIRS = 2
"""Shifts below which the position of a scene is not assessed."""

SceneKey = tuple[str, int]
"""Name of the sensor and index of the frame."""


@dataclass(frozen=True)
class Shift:
    """Offset of one image from another in pixels: positive = further down and to the right."""

    down: float
    right: float
    support: float
    """Of two images: the height of the correlation's peak in deviations of its surroundings. Of a scene: its pairs."""

    @property
    def length(self) -> float:
        """Distance in pixels."""
        return float(np.hypot(self.down, self.right))


def measure_shift(image: Image, reference: Image) -> Shift | None:
    """Shift of `image` from `reference`, both (C, H, W) with NaN where not valid; None if it cannot be assessed.

    Phase correlation (Kuglin & Hines 1975), the normalised cross power averaged over bands and weighted with a Gaussian
    of low frequencies, evaluated on a fine grid by two matrix products (Guizar-Sicairos et al. 2008). Gradients are
    compared, not values: borders of fields stay while crops change from brighter to darker than their neighbours.
    """
    image, reference = (np.hypot(*np.gradient(planes, axis=(1, 2))) for planes in (image, reference))
    known = np.asarray(np.isfinite(image).all(axis=0) & np.isfinite(reference).all(axis=0))
    height, width = known.shape
    if min(height, width) < MIN_SIDE or known.mean() < MIN_VALID_SHARE:
        return None
    # Edges of invalid pixels are the same in both images: without fading they would pull the shift towards 0.
    inside = np.minimum(distance_transform_edt(known) / TAPER_PIXELS, 1)
    window = np.outer(np.hanning(height), np.hanning(width)) * np.sin(inside * np.pi / 2) ** 2
    rows, cols = np.fft.fftfreq(height), np.fft.fftfreq(width)
    power = np.zeros((height, width), complex)
    for one, other in zip(image, reference, strict=True):
        ours, theirs = (np.fft.fft2(_level(plane, known) * window) for plane in (one, other))
        # Only phases are kept: a shift is a slope of the phase, whatever the contrast of a frequency.
        cross = ours * np.conj(theirs)
        power += cross / np.maximum(np.abs(cross), 1e-12)
    power *= np.exp(-(rows[:, None] ** 2 + cols[None] ** 2) / (2 * FREQUENCY_SIGMA**2))
    moves = np.arange(-MAX_SHIFT, MAX_SHIFT + SHIFT_STEP / 2, SHIFT_STEP)
    # The inverse transform at shifts of fractions of a pixel, near 0 only; a fast transform gives whole pixels.
    surface = np.real(np.exp(2j * np.pi * np.outer(moves, rows)) @ power @ np.exp(2j * np.pi * np.outer(cols, moves)))
    top = np.unravel_index(int(surface.argmax()), surface.shape)
    # The correlation at all shifts of whole pixels, nearly all of them wrong, is the noise that the peak must exceed;
    # 0.6745 turns the median absolute deviation of a normal distribution into its standard deviation.
    everywhere = np.real(np.fft.ifft2(power)) * power.size
    noise = float(np.median(np.abs(everywhere))) / 0.6745
    peak = float(surface[top]) / max(noise, 1e-12)
    if peak < threshold("peak"):
        return None
    return Shift(float(moves[top[0]]), float(moves[top[1]]), peak)


def _level(plane: Image, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The plane minus its median, divided by its spread and cut at three spreads; 0 where not known."""
    values = plane[known]
    # Percentiles of one standard deviation; unlike mean and deviation they ignore clouds that the mask missed.
    low, middle, high = np.percentile(values, (16, 50, 84))
    spread = max(float(high - low) / 2, 1e-6)
    return np.where(known, np.clip((plane - middle) / spread, -3, 3), 0).astype(np.float64)


@dataclass(frozen=True)
class Link:
    """Shift of one scene from another, metres south and east."""

    one: SceneKey
    other: SceneKey
    south: float
    east: float
    pixel: float
    """Side in metres of the pixels on which it was measured."""


def scene_positions(sensors: Mapping[str, SensorWindows]) -> dict[SceneKey, Shift]:
    """Positions of scenes in pixels of their sensor, from the median scene of the finest; without those not assessed.

    Positions are the least-squares fit to the shifts between pairs of scenes, reweighted so that single wrong pairs
    count little. A scene with fewer than `MIN_PAIRS` pairs, or without a path of pairs to most others, has no position.
    """
    finest = min(sensors.values(), key=_pixel)
    links = [
        link for sensor in sensors.values() for link in (*_links_within(sensor), *_links_to_finest(finest, sensor))
    ]
    links = _largest_group(links)
    scenes = sorted({scene for link in links for scene in (link.one, link.other)})
    reference = [index for index, scene in enumerate(scenes) if scene[0] == finest.name]
    if not reference:
        return {}
    fitted, residuals = _fit(links, scenes)
    # Shifts define positions up to a constant: the median scene of the finest sensor is at 0.
    fitted -= np.median(fitted[reference], axis=0)
    positions = {}
    for scene, (south, east) in zip(scenes, fitted, strict=True):
        misses = [miss for link, miss in zip(links, residuals, strict=True) if scene in (link.one, link.other)]
        if len(misses) >= MIN_PAIRS and np.median(misses) <= threshold("disagreement"):
            pixel = _pixel(sensors[scene[0]])
            positions[scene] = Shift(float(south / pixel), float(east / pixel), float(len(misses)))
    return positions


def _pixel(sensor: SensorWindows) -> float:
    return float(sensor.cube.grid.resolution)


def _clear(sensor: SensorWindows, number: int) -> list[int]:
    """Frames of which enough of a window is valid, at most `MAX_SCENES`."""
    window = sensor.windows[number]
    if sensor.cube.is_composite or min(window.valid.shape[1:]) < MIN_SIDE:
        return []
    clear = np.flatnonzero(window.valid.mean(axis=(1, 2)) >= MIN_VALID_SHARE)
    return (
        [int(frame) for frame in clear[np.unique(np.linspace(0, len(clear) - 1, MAX_SCENES).astype(int))]]
        if len(clear)
        else []
    )


def _nearest(sensor: SensorWindows, frames: Sequence[int], day: int, reach: int) -> list[int]:
    """Frames at most `reach` days from a day, the nearest first."""
    near = [frame for frame in frames if abs(int(sensor.days[frame]) - day) <= reach]
    return sorted(near, key=lambda frame: abs(int(sensor.days[frame]) - day))


def _links_within(sensor: SensorWindows) -> Iterator[Link]:
    """Shifts of the scenes of a sensor from those nearest in time, in the window with the most valid pixels."""
    positions = red_and_nir(sensor)
    bands = [sensor.bands[position] for position in positions] if positions is not None else list(sensor.bands[:2])
    number = max(range(len(sensor.windows)), key=lambda index: sensor.windows[index].valid.sum())
    clear = _clear(sensor, number)
    planes = dict(zip(clear, np.moveaxis(_planes(sensor, bands, number, clear), 1, 0), strict=True)) if clear else {}
    pairs = {
        (min(frame, other), max(frame, other))
        for frame in clear
        for other in _nearest(
            sensor, [n for n in clear if n != frame], int(sensor.days[frame]), MAX_DAYS_BETWEEN_SCENES
        )[:MAX_NEIGHBOURS]
    }
    for one, other in sorted(pairs):
        shift = measure_shift(planes[one], planes[other])
        if shift is not None:
            yield _link((sensor.name, one), (sensor.name, other), shift, _pixel(sensor))


def _links_to_finest(finest: SensorWindows, sensor: SensorWindows) -> Iterator[Link]:
    """Shifts of the scenes of a coarser sensor from those of the finest near in time, on pixels of the coarser."""
    bands = shared_bands(finest, sensor)
    if sensor.name == finest.name or not bands:
        return
    ratio = round(_pixel(sensor) / _pixel(finest))
    number = max(range(len(sensor.windows)), key=lambda index: sensor.windows[index].valid.sum())
    clear, frames = _clear(finest, number), _clear(sensor, number)
    near = {
        frame: _nearest(finest, clear, int(sensor.days[frame]), MAX_DAYS_BETWEEN_SENSORS)[:MAX_NEIGHBOURS]
        for frame in frames
    }
    used = sorted({other for others in near.values() for other in others})
    if not used:
        return
    ours = _planes(finest, [pair[0] for pair in bands], number, used, ratio)
    theirs = _planes(sensor, [pair[1] for pair in bands], number, frames)
    for position, frame in enumerate(frames):
        for other in near[frame]:
            shift = measure_shift(theirs[:, position], ours[:, used.index(other)])
            if shift is not None:
                yield _link((sensor.name, frame), (finest.name, other), shift, _pixel(sensor))


def _link(one: SceneKey, other: SceneKey, shift: Shift, pixel: float) -> Link:
    return Link(one, other, shift.down * pixel, shift.right * pixel, pixel)


def _planes(
    sensor: SensorWindows, bands: Sequence[str], number: int, frames: Sequence[int], ratio: int = 1
) -> NDArray[np.float32]:
    """Bands and frames of one window (bands, frames, H, W), on pixels `ratio` times as long."""
    return np.stack([coarser(sensor.image(sensor.windows[number], band, frames), ratio) for band in bands])


def _largest_group(links: Sequence[Link]) -> list[Link]:
    """The links of the largest group of scenes that are linked with each other, directly or through others."""
    if not links:
        return []
    scenes = sorted({scene for link in links for scene in (link.one, link.other)})
    node = {scene: index for index, scene in enumerate(scenes)}
    ends = [node[link.one] for link in links], [node[link.other] for link in links]
    _, group = connected_components(coo_array((np.ones(len(links)), ends), shape=(len(scenes),) * 2), directed=False)
    largest = int(np.bincount(group).argmax())
    return [link for link in links if group[node[link.one]] == largest]


def _fit(links: Sequence[Link], scenes: Sequence[SceneKey]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (scenes, 2) in metres that fit the links, and by how many pixels each link misses them."""
    column = {scene: index for index, scene in enumerate(scenes)}
    design = np.zeros((len(links), len(scenes)))
    for row, link in enumerate(links):
        design[row, column[link.one]], design[row, column[link.other]] = 1, -1
    wanted = np.array([(link.south, link.east) for link in links])
    pixel = np.array([link.pixel for link in links])
    weight = 1 / pixel
    # Weights of 1 / sqrt(residual) make least squares minimise the sum of absolute residuals: outliers count little.
    for _ in range(10):
        positions = np.asarray(
            np.linalg.lstsq(design * weight[:, None], wanted * weight[:, None], rcond=None)[0], float
        )
        residuals = np.asarray(np.hypot(*(design @ positions - wanted).T) / pixel, float)
        weight = 1 / (pixel * np.sqrt(np.maximum(residuals, SHIFT_STEP)))
    return positions, residuals


def check_positions(sensors: Mapping[str, SensorWindows]) -> tuple[list[Finding], list[str]]:
    """Find scenes and sensors that are shifted from the others; and notes on smaller shifts and what is not assessed.

    Composites are of many days and are not assessed.
    """
    findings, notes = [], []
    positions = scene_positions(sensors) if sensors else {}
    finest = min(sensors.values(), key=_pixel).name if sensors else ""
    for name, sensor in sensors.items():
        shifts = {frame: shift for (of, frame), shift in positions.items() if of == name}
        if not shifts:
            notes.append(f"{name}: the positions of its scenes were not assessed, {_why_not_assessed(sensor)}")
            continue
        typical = np.median([(shift.down, shift.right) for shift in shifts.values()], axis=0)
        notes.append(_describe_positions(sensor, shifts, finest))
        findings += _shifted_scenes(sensor, shifts, typical)
        if float(np.hypot(*typical)) > threshold("shift of a sensor") and len(shifts) >= MIN_PAIRS:
            sentence = (
                f"'{name}' is {typical[0]:+.2f} of its pixels down and {typical[1]:+.2f} right of '{finest}' (median "
                f"of {len(shifts)} scenes)"
            )
            fix = "check the files' corners and fetch again"
            findings.append(Finding("shifted grid", f"{finest} or {name}", sentence, "likely", fix))
    return findings, notes


def _describe_positions(sensor: SensorWindows, shifts: Mapping[int, Shift], finest: str) -> str:
    """Describe the scenes more than a third of a pixel off, with their dates, and how many are not assessed."""
    wide = {frame: shift.length for frame, shift in shifts.items() if shift.length > threshold("shift")}
    listed = ", ".join(f"{day_date(int(sensor.cube.date[frame]))} {far:.2f}" for frame, far in list(wide.items())[:8])
    rest = len(sensor.days) - len(shifts)
    median = np.median([shift.length for shift in shifts.values()])
    return (
        f"{sensor.name}: {len(shifts)} scenes are {median:.2f} pixels (median) off the middle of '{finest}', "
        f"{len(wide)} of them more than a third"
        + (f" ({listed}{', …' if len(wide) > 8 else ''})" if wide else "")
        + (f"; {rest} scenes were not assessed, too cloudy or unlike those near in time" if rest else "")
    )


def _why_not_assessed(sensor: SensorWindows) -> str:
    if sensor.cube.is_composite:
        return "a composite is of many days"
    side = min(min(window.valid.shape[1:]) for window in sensor.windows)
    if side < MIN_SIDE:
        return f"windows of {side} of its pixels are smaller than {MIN_SIDE}"
    return "too few are clear and similar at near dates"


def _shifted_scenes(sensor: SensorWindows, shifts: Mapping[int, Shift], typical: NDArray[np.float64]) -> list[Finding]:
    far = {frame: float(np.hypot(shift.down - typical[0], shift.right - typical[1])) for frame, shift in shifts.items()}
    off = [frame for frame in far if far[frame] > threshold("shift of a frame")]
    if not off:
        return []
    days = list_days([sensor.cube.date[frame] for frame in off])
    return [
        Finding(
            "shifted grid",
            f"{sensor.name}, {len(off)} of {len(shifts)} scenes that can be assessed ({days})",
            f"they are up to {max(far[frame] for frame in off):.1f} pixels off the others",
            "likely",
            "check the files' corners, or list the scenes under `skip`, and fetch again",
        )
    ]
