"""The nine sections of a model card, in the order and under the headings of the AI Act's Annex IV.

Guarantees: sentences state what was done or measured, with what its margin covers; what was not is named as
not measured. Text is plain: the page escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from safeborders_fed.reporting.accuracy import Accuracy, GroupAccuracy
from safeborders_fed.reporting.card_facts import MembershipTest, ModelCardFacts
from safeborders_fed.reporting.figures import (
    PLUS_MINUS,
    area_text,
    auc_text,
    chance_text,
    cost_text,
    count_of,
    one_in,
    thousandths,
)

NOT_FOR: Final = (
    "To decide anything. It orders referrals for people who look at each of them; a decision is theirs.",
    (
        "To turn help down. A low score is no sign that a person is not a victim; assistance and support"
        " under Directive 2011/36/EU, Articles 11 to 14, never depend on it."
    ),
    "As evidence against or about anybody, in any proceedings.",
    (
        "To assess suspects, or how likely a person is to offend (AI Act, Article 5(1)(d)): it was trained on"
        " signs of victimhood only."
    ),
    "To decide on residence, asylum, return or entry.",
    "For persons outside the population named here, or on records of another data contract.",
)
"""What a model must not be used for."""

_COVERS: Final = (
    "Margins are 95% intervals. Those of counts cover the noise added for privacy. Those of areas and shares"
    " cover that noise and also chance in who was held out, as if the held-out persons were a random sample"
    " of those to come. No margin covers victims nobody recorded, wrong labels, late entries, or a future"
    " that differs from the past; and where many groups are compared, about one interval in twenty misses."
)
_TRUST: Final = {
    "masked": "masked: what a node sends is hidden under masks that cancel in the sum; each node adds a"
    " share of the noise, and relies on others adding theirs",
    "local": "local: each node adds all of the noise by itself and relies on nobody",
}
_METHODS: Final = {"logistic": "a logistic regression", "neural": "a neural network"}

Table = dict[str, Any]


def sections(facts: ModelCardFacts) -> list[dict[str, Any]]:
    """All sections as JSON values."""
    return [
        _general(facts),
        _development(facts),
        _control(facts),
        _performance(facts),
        _risks(facts),
        _changes(facts),
        _section(
            "standards",
            "7. Standards",
            "No harmonised standard (AI Act, Article 40) has been applied, in full or in part.",
            "Used instead: values of the Human Trafficking Case Data Standard 2.0 and of the"
            " Counter-Trafficking Data Collaborative, countries of ISO 3166-1, differential privacy with"
            " accounting after Canonne, Kamath and Steinke 2020.",
        ),
        _section(
            "declaration",
            "8. EU declaration of conformity",
            "None comes with this card. Whoever puts the model into service as its provider draws it up"
            " (AI Act, Article 47) and registers the system (Article 49).",
        ),
        _section(
            "monitoring",
            "9. Monitoring after release",
            "Reviewers record whether they agree with what the model brought up. Those records are case data:"
            " they stay at the node, and leave it as a private sum or not at all.",
            "Repeat the evaluation on new victims when recording rules change, when the share of positives"
            " moves beyond its margin, and at least once a year; each repetition costs privacy budget.",
            "A model found to be wrong is withdrawn by a signed statement that nodes check before use.",
        ),
    ]


def _section(
    name: str,
    heading: str,
    *paragraphs: str,
    facts: Sequence[tuple[str, str]] = (),
    lists: Sequence[tuple[str, Sequence[str]]] = (),
    tables: Sequence[Table] = (),
) -> dict[str, Any]:
    return {
        "id": name,
        "heading": heading,
        "paragraphs": list(paragraphs),
        "facts": [list(pair) for pair in facts],
        "lists": [[title, list(entries)] for title, entries in lists],
        "tables": list(tables),
    }


def _table(
    name: str, caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: bool = False
) -> Table:
    """A table; ``note`` says that its last column holds words."""
    return {
        "id": name,
        "caption": caption,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "note": note,
    }


def _general(facts: ModelCardFacts) -> dict[str, Any]:
    return _section(
        "general",
        "1. General description and intended purpose",
        "The model gives a referral a score for signs of victimhood, with the fields that raise or lower"
        " it, so that people can look at the most pressing referrals first. It runs at a national node, on"
        " that node's own records. As a means to assess the risk of becoming a victim of a criminal offence"
        " it is a high-risk system where law enforcement uses it (AI Act, Annex III, 6(a)).",
        facts=(
            ("Purpose", facts.purpose),
            ("Legal basis", facts.legal_basis),
            ("A positive is", facts.label),
            ("Population", facts.population),
            ("Fields it reads", ", ".join(facts.features)),
            ("States", ", ".join(facts.states)),
            ("Model arrays (SHA-256)", facts.model_hash),
            ("Manifest (SHA-256)", facts.manifest_hash),
            ("Study", facts.study),
            ("Version", f"software {facts.software_version}, data contract {facts.contract_version}"),
        ),
        lists=(("It must not be used", NOT_FOR),),
    )


def _development(facts: ModelCardFacts) -> dict[str, Any]:
    method = _METHODS.get(facts.analysis, f"a model of the kind {facts.analysis}")
    counted = [
        (name, count_of(estimate.value, estimate.error).text)
        for name, estimate in (
            ("Persons trained on", facts.labelled),
            ("Positives among them", facts.positives),
        )
        if estimate is not None
    ]
    return _section(
        "development",
        "2. Development and data",
        f"It is {method}, trained in {facts.rounds:,} rounds (the evaluation included) without any record"
        " leaving its node: a node answers each round with one sum, to which every victim adds a bounded"
        " amount, and random noise. Each field falls into bins that the data contract fixes in public;"
        " missing values and unknown codes are bins of their own. Nothing was tuned on private data without"
        " being paid for.",
        "Labels are what authorities determined, not the truth: who is never identified is not in the data,"
        " and what authorities overlook the model learns to overlook.",
        facts=(
            *counted,
            ("Held out", f"{facts.held_out} of 100 persons, chosen by a keyed hash; they never train"),
            ("Protected unit", "one victim with all their records at one node"),
            ("Epsilon", f"{cost_text(facts.epsilon)} at delta {one_in(facts.delta)}"),
            ("Rho", f"{cost_text(facts.rho)} (zero-concentrated differential privacy)"),
            ("Trust", _TRUST[facts.trust]),
            ("Tolerated colluders", str(facts.tolerated_colluders)),
        ),
        tables=_data_tables(facts.accuracy),
    )


def _data_tables(accuracy: Accuracy | None) -> list[Table]:
    groups = () if accuracy is None else accuracy.groups.get("State", ())
    rows = [_count_row(group) for group in groups]
    caption = "Held-out persons by state, with the 95% margin of the noise"
    return [_table("card-data", caption, ("State", "Persons", "Positives"), rows)] if rows else []


def _count_row(group: GroupAccuracy) -> tuple[str, str, str]:
    victims = count_of(group.victims.value, group.victims.error)
    positives = count_of(group.positives.value, group.positives.error)
    return group.name, victims.text, positives.text


def _control(facts: ModelCardFacts) -> dict[str, Any]:
    rows = [(state, str(people)) for state, people in facts.approvals.items()]
    return _section(
        "control",
        "3. Monitoring, functioning and control",
        "A person reviews every referral that the model brings up, sees which fields moved its score and how"
        " unusual the record is, and may disagree. Records unlike those it was trained on are named as such;"
        " their scores mean less. Each use is entered into the node's audit log.",
        f"Accuracy differs from group to group (section 4). {_calibration_text(facts.accuracy)}",
        lists=(("Known limits", tuple(_limits(facts))),),
        tables=(
            *_calibration_tables(facts.accuracy),
            _table("card-approvals", "People who approved the study", ("State", "People"), rows),
        ),
    )


def _calibration_text(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return "Calibration was not measured: a score orders records, and is no chance."
    return (
        f"Scores are calibrated: log-odds times {accuracy.slope:.3f}{PLUS_MINUS}"
        f"{thousandths(1.96 * accuracy.slope_error)}, plus {_minus(accuracy.intercept)}, fitted on the noisy"
        " histogram of held-out persons after Platt 1999 and held near 1 and 0 where noise dominates."
    )


def _minus(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212")


def _calibration_tables(accuracy: Accuracy | None) -> list[Table]:
    if accuracy is None:
        return []
    rows = [
        (
            f"{number} of {len(accuracy.points)}",
            chance_text(point.raw),
            chance_text(point.predicted),
            chance_text(point.observed, point.margin),
        )
        for number, point in enumerate(accuracy.points, start=1)
    ]
    columns = ("Bin of scores", "Before calibration", "Calibrated", "Observed")
    return [_table("card-calibration", "Share of positives by score, low scores first", columns, rows)]


def _limits(facts: ModelCardFacts) -> Iterator[str]:
    yield "It finds again what was recorded: forms that authorities rarely recognise have few examples in it."
    yield "A score is no probability that holds for one person."
    if facts.accuracy is None:
        yield "Its accuracy was not measured by a private evaluation."
        return
    few = [
        f"{partition}: {group.name}"
        for partition, groups in facts.accuracy.groups.items()
        for group in groups
        if group.auc is None
    ]
    if few:
        yield (
            f"Not measured for want of data beyond the noise: {'; '.join(few)}. Nothing is known of accuracy"
            " there."
        )
    if not facts.accuracy.groups:
        yield "Its accuracy by sex, age, citizenship and state was not measured."
    yield "It was evaluated on victims of the same states and years as those it was trained on."


def _performance(facts: ModelCardFacts) -> dict[str, Any]:
    accuracy = facts.accuracy
    text = (
        "The area under the ROC curve is the chance that a positive is ranked above a negative; 0.5 is"
        " guessing. It fits a model whose use is to order a list for review, whatever the length of the"
        " list. It does not say how many positives a list of given length holds, nor what a mistake costs."
    )
    if accuracy is None:
        return _section("performance", "4. Performance", text, "It was not measured.")
    groups = [(accuracy.overall.name, accuracy.overall)] + [
        (f"{partition}: {group.name}", group)
        for partition, table in accuracy.groups.items()
        for group in table
    ]
    rows = [(name, *_count_row(group)[1:], area_text(group), group.reason or "") for name, group in groups]
    columns = ("Held-out persons", "Persons", "Positives", "Area", "Note")
    return _section(
        "performance",
        "4. Performance, and how far its measure is appropriate",
        text,
        "Measured on held-out persons by one private sum: a histogram of scores by label and group. Scores"
        " in one bin count as tied; the order that this hides (about 0.01) is estimated from the"
        " calibration and added back, and half of it is counted as an error.",
        _COVERS,
        tables=(_table("card-accuracy", "Area under the ROC curve by group", columns, rows, note=True),),
    )


def _risks(facts: ModelCardFacts) -> dict[str, Any]:
    risks = (
        (
            "Somebody is taken for no victim because of a low score. Met by: review of every referral that"
            " the law calls for; no cut-off below which nobody looks; this card's list of forbidden uses."
        ),
        "Reviewers follow the score without thought. Met by: reasons in words, and a record of disagreement.",
        "It serves some groups worse. Met by: accuracy by group, with groups that cannot be measured named.",
        "Old mistakes of recording come back as advice. Met by: review, and renewed evaluation.",
        (
            "The model gives away who was in the data. Met by: differential privacy in training and"
            f" evaluation, of which epsilon {cost_text(facts.epsilon)} is the limit."
        ),
        "The file is forged or altered. Met by: signatures that nodes check before use.",
    )
    found = facts.membership
    text = (
        "No attack on membership was run: outside a demonstration nobody can know who trained."
        if found is None
        else "Whether the model gives away who trained was tested on records known to be in and out, by"
        " guessing that records with a small loss were in (Yeom et al. 2018). A weak attack proves no"
        " privacy: the limit follows from the noise. A result beyond what epsilon permits would prove a"
        " defect."
    )
    return _section(
        "risks",
        "5. Risk management",
        text,
        lists=(("Risks and what meets them", risks),),
        tables=_attack(found),
    )


def _attack(found: MembershipTest | None) -> list[Table]:
    if found is None:
        return []
    area = f"{auc_text(found.auc)}{PLUS_MINUS}{thousandths(found.margin)}"
    rows = [("Area under the ROC curve", area, auc_text(found.permitted), "0.500")]
    rows += [
        (
            f"Trained records found at {chance_text(guess.false_alarms)} false alarms",
            f"{100 * guess.found:.1f}% ({100 * guess.low:.1f} to {100 * guess.high:.1f})",
            f"{100 * guess.permitted:.1f}%",
            f"{100 * guess.false_alarms:.1f}%",
        )
        for guess in found.guesses
    ]
    caption = f"Attack on membership: {found.inside:,} records in, {found.outside:,} out"
    columns = ("Measure", "Attack, 95% interval", "Permitted by epsilon", "Chance")
    return [_table("card-membership", caption, columns, rows)]


def _changes(facts: ModelCardFacts) -> dict[str, Any]:
    start = (
        "Training started from nothing."
        if facts.started_from is None
        else f"Training started from the released model {facts.started_from}; the cost of that one adds to"
        " this."
    )
    text = f"{start} A release never changes: any change is a new training, a new file and a new card."
    return _section("changes", "6. Changes", text, facts=(("Analysis", facts.analysis),))
