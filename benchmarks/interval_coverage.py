"""How often 95 % intervals contain the true value: every estimator, on samples drawn from a map whose truth is known.

The populations are rasters of fields. Classes are as frequent as in farmland, the rarest has 2 % of the area, the map
errs along the edges of fields and in whole fields. Each line draws many samples by one design, estimates, and counts.
An interval is too narrow where its coverage is below 93.5 %, and wider than it need be above 96.5 %.

Intervals of clusters, two phases, polygons and systematic points were chosen on the straight fields; the irregular ones
are only reported. Few errors, or few points of a class, make estimates skewed and discrete, so that no interval holds
the truth in exactly 95 %. Each design has therefore a line of the quantities that at least ten points decide, and one
of the others. That is the expected number of points with the rarer outcome: right or wrong for an accuracy, and for an
area, in each stratum, of the class or not (with strata of the map's classes: the wrong points). They are no more than
p (1 - p) / variance x min(p, 1 - p) says, where p is the true share, and 1 / skewness squared, both of the estimates.

    python benchmarks/interval_coverage.py --draws 2000 --out benchmarks/results
    python benchmarks/interval_coverage.py --only cluster two-phase polygons systematic grid --points 100 400 1600
    python benchmarks/interval_coverage.py --quick
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from deciding_units import Found, deciding, found_of, rarer
from field_population import CLASSES, POPULATIONS, SHARES, SIDE, Numbers, Population, frame_of, make_population
from measure import Command, table
from numpy.typing import NDArray

from agrifm.assess.cluster_estimators import ClusterPoints, cluster_estimate
from agrifm.assess.estimators import Estimate, stratified_estimates
from agrifm.assess.model_assisted import Method, assisted_share
from agrifm.assess.point_estimators import estimate_change, point_estimates, stratified_points
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_polygons import PolygonUnits
from agrifm.assess.systematic_design import draw_cells
from agrifm.assess.systematic_estimators import SystematicPoints, cell_points
from agrifm.assess.two_phase_estimators import two_phase_points

BLOCK = 12
DISTRICT = 0.3
"""Share of the map's width that a district has."""
Truth = dict[str, NDArray[np.float64]]
Case = tuple[Truth, Callable[[np.random.Generator], Found | None]]


def accuracies(mapped: Numbers, true: Numbers, area: NDArray[np.float64] | None = None) -> Truth:
    """True accuracies and areas, pixels; of units of unequal area if theirs is given."""
    pairs = np.zeros((CLASSES, CLASSES))
    np.add.at(pairs, (mapped, true), 1 if area is None else area)
    right, on_map, on_ground = np.diagonal(pairs), pairs.sum(axis=1), pairs.sum(axis=0)
    with np.errstate(invalid="ignore"):  # a district may lack a class
        users, producers, f1 = right / on_map, right / on_ground, 2 * right / (on_map + on_ground)
    return {
        "overall": right.sum() / pairs.sum(),
        "users": users,
        "producers": producers,
        "f1": f1,
        "area": on_ground,
    }


def stratified(generator: np.random.Generator, strata: Numbers, points: int) -> Numbers:
    """Pixels drawn in proportion to area, but a sixteenth of the points in each stratum at least."""
    sizes = np.bincount(strata)
    least = points // (4 * len(sizes))
    counts = np.maximum(least, points * sizes // sizes.sum())
    chosen = [
        generator.choice(np.flatnonzero(strata == number), min(count, sizes[number]), replace=False)
        for number, count in enumerate(counts)
    ]
    return np.concatenate(chosen)


def cases(population: Population, points: int) -> Iterator[tuple[str, str, Case]]:
    """Every design and estimator: what is true, and a function that draws and estimates."""
    truth = accuracies(population.mapped, population.true)
    mapped, true, everything = population.mapped, population.true, len(population)
    sizes = np.bincount(mapped).astype(float)

    def of_classes(generator: np.random.Generator) -> Found:
        drawn = stratified(generator, mapped, points)
        return by_class_found(drawn)

    def by_class_found(drawn: Numbers) -> Found:
        design = stratified_points(mapped[drawn], sizes)
        counts = np.zeros((CLASSES, CLASSES), np.int64)
        np.add.at(counts, (mapped[drawn], true[drawn]), 1)
        return found_of(vars(stratified_estimates(counts, sizes)), design, mapped[drawn], mapped[drawn], true[drawn])

    yield "map classes", "Olofsson 2014", (truth, of_classes)
    strata = np.where(population.near_edge, CLASSES, mapped)

    def of_strata(numbers: Numbers, domain: NDArray[np.bool_] | None = None) -> Callable[..., Found]:
        def estimate(generator: np.random.Generator) -> Found:
            drawn = stratified(generator, numbers, points)
            return points_found(numbers, drawn, domain)

        return estimate

    def points_found(numbers: Numbers, drawn: Numbers, domain: NDArray[np.bool_] | None) -> Found:
        design = stratified_points(numbers[drawn], np.bincount(numbers).astype(float))
        inside, size = (None, None) if domain is None else (domain[drawn], float(domain.sum()))
        found = vars(point_estimates(mapped[drawn], true[drawn], CLASSES, design, inside, size))
        part = np.ones(len(drawn), bool) if inside is None else inside
        return found_of(found, design, numbers[drawn], mapped[drawn], true[drawn], part)

    yield "classes and edges", "Stehman 2014", (truth, of_strata(strata))
    district = population.column < DISTRICT * SIDE
    yield "map classes", "district", (accuracies(mapped[district], true[district]), of_strata(mapped, district))
    whole = np.zeros(everything, np.int64)
    yield "simple random", "Stehman 2014", (truth, of_strata(whole))

    def post_stratified(generator: np.random.Generator) -> Found | None:
        drawn = generator.choice(everything, points, replace=False)
        return by_class_found(drawn) if (np.bincount(mapped[drawn], minlength=CLASSES) > 1).all() else None

    yield "simple random", "post-stratified", (truth, post_stratified)

    frame = frame_of(population)

    def cells(generator: np.random.Generator) -> Found:
        found = draw_cells(generator, frame, points)
        drawn = np.array([point.row * SIDE + point.col for point in found.points])
        return map_found(
            population, drawn, cell_points(stratified_points(whole[drawn], [float(everything)]), found.cell)
        )

    yield "systematic", "cells", (truth, cells)

    def systematic(generator: np.random.Generator) -> Found:
        step = SIDE / round(points**0.5)
        rows, cols = (np.arange(generator.random() * step, SIDE, step).astype(int) for _ in range(2))
        drawn = (rows[:, None] * SIDE + cols).ravel()
        design = stratified_points(whole[drawn], [float(everything)])
        return map_found(population, drawn, SystematicPoints(design, *np.divmod(drawn, SIDE)))

    yield "grid", "rows and columns", (truth, systematic)
    first = (true == 0).astype(float)
    share: Truth = {"area": np.array(first.mean())}

    def assisted(auxiliary: NDArray[np.float64], method: Method) -> Callable[..., Found]:
        def estimate(generator: np.random.Generator) -> Found:
            drawn = generator.choice(everything, points, replace=False)
            design = stratified_points(whole[drawn], [float(everything)])
            share = assisted_share(first[drawn], auxiliary[drawn], auxiliary.mean(), design, method)
            return found_of({"area": share}, design, whole[drawn], whole[drawn], 1 - first[drawn].astype(np.int64))

        return estimate

    yield "simple random", "difference, classes", (share, assisted((mapped == 0).astype(float), "difference"))
    yield "simple random", "regression, classes", (share, assisted((mapped == 0).astype(float), "regression"))
    yield "simple random", "regression, probabilities", (share, assisted(population.probability, "regression"))
    yield from cluster_cases(first, share, points)
    yield from cluster_points_cases(population, truth, points)
    yield "two-phase", "Cochran 1977", (truth, two_phases(population, points))
    yield from polygon_cases(population, points)
    net: Truth = {"area": np.array([(population.later == c).sum() - (true == c).sum() for c in range(CLASSES)])}

    def change(generator: np.random.Generator) -> Found:
        drawn = stratified(generator, mapped, points)
        design = stratified_points(mapped[drawn], sizes)
        net = estimate_change(true[drawn], population.later[drawn], CLASSES, design).net
        return found_of({"area": net}, design, mapped[drawn], true[drawn], population.later[drawn])

    yield "map classes", "net change, paired", (net, change)


def cluster_cases(first: NDArray[np.float64], share: Truth, points: int) -> Iterator[tuple[str, str, Case]]:
    """Square clusters, seen whole or in part; their size is that of a field, so half of the points are of one class."""
    blocks = first.reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).transpose(0, 2, 1, 3).reshape(-1, BLOCK**2)
    count = max(10, points // 8)

    def estimate(units: int) -> Callable[..., Found]:
        def clusters(generator: np.random.Generator) -> Found:
            chosen = generator.choice(len(blocks), count, replace=False)
            seen = [generator.choice(blocks[number], units, replace=False) for number in chosen]
            found = cluster_estimate(seen, np.full(count, BLOCK**2), len(blocks))
            mean = Estimate(*(np.array(part) for part in (found.mean, found.mean_error, *found.mean_interval)))
            outcome = 1 - np.concatenate(seen).astype(np.int64)
            whole = np.zeros(len(outcome), np.int64)
            return found_of({"area": mean}, stratified_points(whole, [float(first.size)]), whole, whole, outcome)

        return clusters

    yield f"{count} clusters, whole", "ratio mean", (share, estimate(BLOCK**2))
    yield f"{count} clusters, 8 pixels", "ratio mean", (share, estimate(8))


def map_found(population: Population, drawn: Numbers, design: ProbabilitySample) -> Found:
    """Accuracies and areas from pixels drawn everywhere."""
    mapped, true = population.mapped[drawn], population.true[drawn]
    whole = np.zeros(len(drawn), np.int64)
    return found_of(vars(point_estimates(mapped, true, CLASSES, design)), design, whole, mapped, true)


def cluster_points_cases(population: Population, truth: Truth, points: int) -> Iterator[tuple[str, str, Case]]:
    """Points of `agrifm assess design --method cluster`: blocks a quarter as long as a field, one stage and two.

    The blocks at the border of the map are smaller, as where its side is not a multiple of theirs.
    """
    block = 7
    along = -(-SIDE // block)
    row, col = np.divmod(np.arange(len(population)), SIDE)
    number = row // block * along + col // block
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    count = max(10, points // 8)

    def estimate(units: int) -> Callable[..., Found]:
        def clusters(generator: np.random.Generator) -> Found:
            chosen = generator.choice(len(members), count, replace=False)
            seen = [generator.permutation(members[one])[:units] for one in chosen]
            pixels = np.array([len(members[one]) for one in chosen])
            cluster = np.repeat(np.arange(count), [len(part) for part in seen])
            design = ClusterPoints(cluster, pixels.astype(float), pixels, len(members), float(len(population)))
            return map_found(population, np.concatenate(seen), design)

        return clusters

    yield f"cluster, {count} whole", "Lohr 2019", (truth, estimate(block**2))
    yield f"cluster, {count} of 8 pixels", "Lohr 2019", (truth, estimate(8))


def two_phases(population: Population, points: int) -> Callable[[np.random.Generator], Found]:
    """A first look at four times as many points, wrong at one in seven; then some points of each class seen."""

    def estimate(generator: np.random.Generator) -> Found:
        first = generator.choice(len(population), 4 * points, replace=False)
        guess = generator.choice(CLASSES, len(first), p=SHARES)
        look = np.where(generator.random(len(first)) < 1 / 7, guess, population.true[first])
        names, look = np.unique(look, return_inverse=True)
        sizes = np.bincount(look)
        counts = np.minimum(sizes, np.maximum(points // (4 * len(names)), points * sizes // len(first)))
        chosen = [
            generator.choice(np.flatnonzero(look == stratum), number, replace=False)
            for stratum, number in enumerate(counts)
        ]
        second = np.concatenate(chosen)
        drawn, design = first[second], two_phase_points(look[second], sizes, float(len(population)))
        mapped, true = population.mapped[drawn], population.true[drawn]
        found = vars(point_estimates(mapped, true, CLASSES, design))
        return found_of(found, design, look[second], mapped, true)

    return estimate


def polygon_cases(population: Population, points: int) -> Iterator[tuple[str, str, Case]]:
    """Fields as units, drawn with replacement, as from very many fields of these sizes; their hectares are known."""
    field = population.field
    area = np.bincount(field).astype(float)
    counts = np.zeros((len(area), CLASSES), np.int64)
    np.add.at(counts, (field, population.mapped), 1)
    mapped, true = counts.argmax(axis=1), population.true[np.unique(field, return_index=True)[1]]
    truth = accuracies(mapped, true, area)
    by_class = np.bincount(mapped, area, CLASSES)

    def simple(generator: np.random.Generator) -> Found:
        drawn = generator.choice(len(area), points)
        design = PolygonUnits(np.zeros(points, np.int64), np.array([area.sum()]), area[drawn], "none")
        return polygons_found(drawn, design)

    def polygons_found(drawn: Numbers, design: PolygonUnits) -> Found:
        found = vars(point_estimates(mapped[drawn], true[drawn], CLASSES, design))
        return found_of(found, design, design.stratum, mapped[drawn], true[drawn])

    def of_classes(generator: np.random.Generator) -> Found:
        sizes = np.maximum(points // 16, points * np.bincount(mapped, minlength=CLASSES) // len(area))
        parts = [generator.choice(np.flatnonzero(mapped == number), size) for number, size in enumerate(sizes)]
        drawn = np.concatenate(parts)
        design = PolygonUnits(mapped[drawn], by_class, area[drawn], "classes of the map")
        return polygons_found(drawn, design)

    yield "polygons, simple", "area-weighted", (truth, simple)
    yield "polygons, classes", "area-weighted", (truth, of_classes)


QUANTITIES = ("area", "overall", "users", "producers", "f1")


def covered(case: Case, draws: int) -> Iterator[list[str]]:
    """Least and most coverage in per cent of each quantity, where many points decide and where few do."""
    truth, estimate = case
    generator = np.random.default_rng(1)
    found = [one for one in (estimate(generator) for _ in range(draws)) if one]
    weight, square = (np.mean([getattr(one, part) for one in found], axis=0) for part in ("weight", "square"))
    cells: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    empty = 0
    for name, values in truth.items():
        value, low, high = (
            np.array([np.atleast_1d(getattr(one.estimates[name], end)) for one in found]) for end in ENDS
        )
        true = np.atleast_1d(values)
        defined = np.isfinite(value) & np.isfinite(true)
        empty += int(((low >= high) & defined).sum())
        often = defined.sum(axis=0) > draws / 10
        inside = ((low <= true) & (true <= high) & defined).sum(axis=0)[often]
        net = (true < 0).any()
        whole = true.sum() if true.max() > 1 and not net else 1.0
        share = np.where(net, np.nan, true / whole)[often]
        varying = deciding(np.where(defined, value, np.nan)[:, often] / whole, share)
        units = rarer(name, weight, square, bool(net))[: len(often)]
        many = np.minimum(varying, units[often]) >= TEN
        cells[name] = 100 * inside / defined.sum(axis=0)[often], many
    for text, wanted in (("ten and more", True), ("fewer", False)):
        chosen = {name: cells[name][0][cells[name][1] == wanted] for name in QUANTITIES if name in cells}
        if any(part.size for part in chosen.values()):
            yield [text, *(_range(chosen.get(name, np.zeros(0))) for name in QUANTITIES), str(empty)]


ENDS = ("value", "low", "high")
TEN = 10


def _range(shares: NDArray[np.float64]) -> str:
    if not shares.size:
        return "-"
    return f"{shares.min():.1f}" if shares.size == 1 else f"{shares.min():.1f} to {shares.max():.1f}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines for each population, number of points, design and estimator."""
    counts = ("decided by", "area", "overall", "user's", "producer's", "F1", "of no width")
    header = ("fields", "points", "design", "estimator", *counts)
    rows = (
        (form, points, design, estimator, *columns)
        for form in options.fields
        for points in options.points
        for design, estimator, case in cases(make_population(form), points)
        if not options.only or design.split(",")[0] in options.only
        for columns in covered(case, options.draws)
    )
    yield f"{options.draws} draws; coverage in per cent, least and most of {CLASSES} classes of {SHARES} of the area"
    yield ""
    yield from table(header, rows, left=(0, 2, 3, 4))


OPTIONS = {
    "--points": {"type": int, "nargs": "+", "default": [100, 400], "help": "default: 100 and 400"},
    "--fields": {"nargs": "+", "choices": POPULATIONS, "default": list(POPULATIONS), "help": "default: both"},
    "--only": {"nargs": "*", "default": [], "help": "designs, by the first word of their line; default: all"},
    "--draws": {"type": int, "default": 2000, "help": "default 2000"},
}
main = Command(__doc__, report, OPTIONS, ("scipy",), quick={"points": [100], "draws": 20})

if __name__ == "__main__":
    main()
