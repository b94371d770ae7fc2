"""Croissant 1.0 with the RAI vocabulary 1.0: a release described for machines.

Specifications: https://docs.mlcommons.org/croissant/docs/croissant-spec.html and
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_bundle_read import CLASSES, CLIPS
from mimecurate.curation.release_export_tables import (
    file_sha256,
    write_classes_csv,
    write_clips_csv,
)
from mimecurate.curation.release_texts import LICENSES, license_id

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition

CROISSANT = "croissant.json"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification asks for."""
_CLIP_FIELDS = {
    "clip_id": ("sc:Text", "video id, start and end: the name of the media file"),
    "youtube_id": ("sc:Text", "the video's id"),
    "url": ("sc:URL", "where the video is"),
    "time_start": ("sc:Float", "start in seconds, in the clip"),
    "time_end": ("sc:Float", "end in seconds, not in the clip"),
    "label": ("sc:Text", "the action's class"),
    "split": ("sc:Text", "the split the clip belongs to"),
    "mime_artist": ("sc:Text", "whether a mime artist acts: yes, no, unsure; absent: unknown"),
    "object_relevant": ("sc:Text", "whether an object gives the action away"),
    "scene_relevant": ("sc:Text", "whether the scene gives the action away"),
    "row_hash": ("sc:Text", "SHA-256 of the row"),
}
_CLASS_FIELDS = {
    "name": ("sc:Text", "the class, as Kinetics spells it"),
    "object_size": ("sc:Text", "size of the object the action has: none, small, medium, large"),
    "scene": ("sc:Text", "whether the action usually has a scene of its own: yes, no"),
    "clips": ("sc:Integer", "clips of the class in this release"),
}
_RAI = {
    "collection": "dataCollection",
    "annotation_protocol": "dataAnnotationProtocol",
    "annotators": "annotatorDemographics",
    "preprocessing": "dataPreprocessingProtocol",
    "uses": "dataUseCases",
    "limitations": "dataLimitations",
    "biases": "dataBiases",
    "personal_information": "personalSensitiveInformation",
    "social_impact": "dataSocialImpact",
    "maintenance": "dataReleaseMaintenancePlan",
}
"""The property of the RAI vocabulary that each text of a card becomes."""


def write_croissant_folder(edition: Edition, out: Path) -> list[str]:
    """Write ``croissant.json`` and the tables it describes."""
    write_clips_csv(out / CLIPS, edition.release.clips)
    write_classes_csv(out / CLASSES, edition)
    write_croissant(edition, out)
    return []


def write_croissant(edition: Edition, out: Path) -> None:
    """Describe the tables that are in ``out``."""
    text = json.dumps(croissant(edition, out), indent=2, ensure_ascii=False) + "\n"
    (out / CROISSANT).write_text(text, "utf-8", newline="\n")


def croissant(edition: Edition, folder: Path) -> dict[str, Any]:
    """Return the description of a release whose tables are in ``folder``."""
    release, card = edition.release, edition.card
    license = license_id(edition)
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": release.name,
        "alternateName": edition.title,
        "description": card.get("description") or f"{edition.title}: clips of human actions.",
        "version": release.version,
        "datePublished": release.created[:10],
        "url": card.get("homepage") or f"urn:sha256:{release.digest}",
        "identifier": f"sha256:{release.digest}",
        "license": LICENSES.get(license or "", license or "not stated"),
        "creator": [_person(author) for author in card.get("authors") or []]
        or [{"@type": "sc:Organization", "name": f"The makers of {edition.title}"}],
        "isLiveDataset": False,
    }
    if card.get("citation"):
        document["citeAs"] = card["citation"]
    if card.get("keywords"):
        document["keywords"] = card["keywords"]
    document |= _rai(edition)
    document["distribution"] = [_file(folder, name) for name in (CLIPS, CLASSES)]
    document["recordSet"] = [
        _record_set("clips", CLIPS, _CLIP_FIELDS, "clip_id", {"label": "classes/name"}),
        _record_set("classes", CLASSES, _CLASS_FIELDS, "name", {}),
    ]
    return document


def _rai(edition: Edition) -> dict[str, Any]:
    properties: dict[str, Any] = {
        f"rai:{name}": edition.card[field]
        for field, name in _RAI.items()
        if edition.card.get(field)
    }
    facts = edition.facts
    if facts.get("annotations"):
        each = facts["annotations"] / facts["clips_annotated"]
        properties["rai:annotationsPerItem"] = (
            f"{each:.2f} on average, by {facts['annotators']} annotators"
        )
    return properties


def _person(author: dict[str, str]) -> dict[str, Any]:
    person: dict[str, Any] = {"@type": "sc:Person", "name": author["name"]}
    if author.get("affiliation"):
        person["affiliation"] = {"@type": "sc:Organization", "name": author["affiliation"]}
    if author.get("orcid"):
        person["identifier"] = author["orcid"]
    return person


def _file(folder: Path, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{(folder / name).stat().st_size} B",
        "encodingFormat": "text/csv",
        "sha256": file_sha256(folder / name),
    }


def _record_set(
    name: str,
    file: str,
    fields: dict[str, tuple[str, str]],
    key: str,
    references: dict[str, str],
) -> dict[str, Any]:
    described = []
    for column, (data_type, description) in fields.items():
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "description": description,
            "dataType": data_type,
            "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
        }
        if column in references:
            field["references"] = {"field": {"@id": references[column]}}
        described.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/{key}"},
        "field": described,
    }
