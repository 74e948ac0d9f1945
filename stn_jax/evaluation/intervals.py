"""How sure a number is: binomial intervals, the bootstrap, and a test, over patients."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Interval:
    """A number with the range it may lie in; `None` and a `reason` where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None

    def to_json(self) -> dict:
        """Returns the fields as JSON has them; `reason` only where there is one."""
        fields = dataclasses.asdict(self)
        return fields if self.reason else {k: v for k, v in fields.items() if k != "reason"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate(Interval):
    """A share with the counts behind it."""

    count: int
    of: int


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Rate:
    """Wilson's score interval of a proportion.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Args:
      successes: how often it happened, in [0, trials].
      trials: how often it could have; 0 gives an undefined interval, not 0 or 1.
      confidence: share of such intervals that cover the true proportion, in (0, 1).

    Raises:
      ValueError: for counts or a confidence out of range.
    """
    _check(successes, trials, confidence)
    return _score_interval(successes, trials, worth=float(trials), confidence=confidence)


def rate(happened: Bool[np.ndarray, " photo"], groups: Shaped[np.ndarray, " photo"]) -> Rate:
    """Share of photos of which something is true, with a 95 % interval that knows of patients.

    Wilson's interval, for as many independent photos as these are worth: their number divided by
    the design effect, which is the share's variance between groups over what it would be if all
    photos were independent; and fewer still where few groups tell little of that variance. Of one
    group, or where all or none are so, that says nothing, and the groups are counted.

    Source: Rao and Scott 1992, "A simple method for the analysis of clustered binary data"; the
    factor for few groups: Korn and Graubard 1998, "Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data".

    Args:
      happened: of each photo.
      groups: the group (patient) of each photo; "" stands for a group of its own.
    """
    worth = _independent_photos(happened, group_members(groups))
    return _score_interval(int(happened.sum()), len(happened), worth=worth)


def _independent_photos(
    happened: Bool[np.ndarray, " photo"], members: Sequence[Int[np.ndarray, " _"]]
) -> float:
    """As many photos of as many groups would give as wide an interval."""
    groups, count = len(members), len(happened)
    if groups in (1, count) or happened.all() or not happened.any():
        return float(groups)
    share = happened.mean()
    excess = np.array([happened[photos].sum() - share * len(photos) for photos in members])
    variance = groups / (groups - 1) * (excess**2).sum() / count**2
    design_effect = max(1.0, variance / (share * (1 - share) / count))
    few = (stats.norm.isf(0.025) / stats.t.isf(0.025, groups - 1)) ** 2
    return few * count / design_effect


def _score_interval(count: int, of: int, *, worth: float, confidence: float = 0.95) -> Rate:
    """Wilson's interval of the share, for `worth` independent trials."""
    if not of:
        return Rate(None, None, None, "no photo to count", count=count, of=of)
    share, z = count / of, stats.norm.isf((1 - confidence) / 2)
    middle = (share + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z * np.sqrt(share * (1 - share) / worth + z**2 / (4 * worth**2)) / (1 + z**2 / worth)
    # At the ends the exact limits are 0 and 1; rounding would leave them just beside.
    low = 0.0 if count == 0 else float(middle - half)
    high = 1.0 if count == of else float(middle + half)
    return Rate(share, low, high, count=count, of=of)


def binomial_upper(successes: int, trials: int, *, risk: float) -> float:
    """One-sided exact upper limit: the true proportion exceeds it with probability <= `risk`.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the
    case of the binomial".
    """
    if successes == trials:
        return 1.0
    return float(stats.beta.isf(risk, successes + 1, trials - successes))


def bootstrap(
    statistic: Callable[[Int[np.ndarray, " photo"]], float | None],
    groups: Shaped[np.ndarray, " photo"],
    *,
    repeats: int = 1000,
) -> Interval:
    """95 % percentile interval of a statistic when whole groups (patients) are drawn again.

    Photos of one patient resemble each other, so drawing photos one by one would promise more
    than the data hold.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13; drawing
    whole clusters: Field and Welsh 2007, "Bootstrapping clustered data".

    Args:
      statistic: from how often each photo was drawn to a number, or None where it is undefined.
      groups: the group of each photo; "" stands for a group of its own.
      repeats: how many draws; the same ones every time.

    Returns:
      The statistic of all photos, with its interval; both undefined with a reason where the
      statistic is undefined, or where it was in more than one draw of twenty; without a range,
      too, where nearly all draws are alike, as those of a perfect order of few photos are.
    """
    value = statistic(np.ones(len(groups), int)) if len(groups) else None
    if value is None:
        return Interval(None, None, None, "undefined for these photos")
    members = group_members(groups)
    if len(members) < 2:
        return Interval(value, None, None, "all photos are of one group")
    results = [statistic(drawn) for drawn in draw_groups(members, repeats=repeats)]
    draws = [result for result in results if result is not None]
    if len(draws) < 0.95 * repeats:
        return Interval(value, None, None, "too few photos: undefined in many bootstrap draws")
    low, high = np.quantile(draws, [0.025, 0.975])
    if low == high:
        return Interval(value, None, None, "too few photos: the same in every bootstrap draw")
    return Interval(value, float(low), float(high))


def draw_groups(
    members: Sequence[Int[np.ndarray, " _"]], *, repeats: int
) -> Iterator[Int[np.ndarray, " photo"]]:
    """How often each photo counts when as many groups as there are are drawn, with replacement."""
    count = len(members)
    group_of_photo = np.empty(sum(map(len, members)), int)
    for group, indices in enumerate(members):
        group_of_photo[indices] = group
    key = np.random.default_rng(0)
    for _ in range(repeats):
        drawn = np.bincount(key.integers(count, size=count), minlength=count)
        yield drawn[group_of_photo]


def group_members(groups: Shaped[np.ndarray, " photo"]) -> list[Int[np.ndarray, " _"]]:
    """Indices of the photos of each group, in order of first appearance; "" groups with none."""
    members: dict[object, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(str(group) or index, []).append(index)
    return [np.array(indices) for indices in members.values()]


def mcnemar(
    first: Bool[np.ndarray, " photo"],
    second: Bool[np.ndarray, " photo"],
    groups: Shaped[np.ndarray, " photo"],
) -> float | None:
    """McNemar's exact two-sided test of two classifiers on the same photos, by group (patient).

    If neither is better, then by how many photos of a group one leads, the other might as well:
    the p-value is the share of all such exchanges, of whole groups, after which one leads by as
    many photos in all as it does, or by more. With one photo a group that is the sign test on
    the photos where they disagree.

    Source: McNemar 1947; exchanges: Fisher 1935, "The design of experiments", chapter 3.

    Args:
      first: photos that the first has right.
      second: photos that the second has right.
      groups: the group of each photo; "" stands for a group of its own.

    Returns:
      The p-value; None where they never disagree, since nothing can be tested then.
    """
    if (first == second).all():
        return None
    ahead = first.astype(int) - second
    leads = np.array([ahead[photos].sum() for photos in group_members(groups)])
    chances = _of_sums(np.abs(leads[leads != 0]))
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(sums) >= abs(leads.sum())].sum()))


def _of_sums(sizes: Int[np.ndarray, " group"]) -> Float[np.ndarray, " sum"]:
    """How likely each sum of the sizes is, from the least, where each is + or - with chance 1/2."""
    chances = np.ones(1)
    for size in sizes:
        both = np.zeros(len(chances) + 2 * size)
        both[: len(chances)] += chances / 2
        both[2 * size :] += chances / 2
        chances = both
    return chances


def _check(successes: int, trials: int, confidence: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"successes {successes} must be between 0 and trials {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} must be between 0 and 1")
