"""Every example in an OpenAPI file against its schema. Runs where schemathesis is installed, which brings the validator."""

import json
import sys

from jsonschema_rs import Draft202012Validator


def media_types(document):
    """Every (place, schema, examples) of requests, answers, parameters and headers."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            at = f"{method.upper()} {path}"
            yield from contents(f"{at} body", operation.get("requestBody", {}))
            for status, response in operation["responses"].items():
                yield from contents(f"{at} {status}", resolve(document, response))
    for kind in ("parameters", "headers"):
        for name, component in document["components"][kind].items():
            yield f"{kind} {name}", component["schema"], [component["example"]]


def contents(at, holder):
    for media in holder.get("content", {}).values():
        yield at, media["schema"], list(media.get("examples", {}).values())


def resolve(document, value):
    while isinstance(value, dict) and "$ref" in value:
        place = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        value = place
    return value


def main(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    wrong, count = [], 0
    for at, schema, examples in media_types(document):
        validator = Draft202012Validator({"components": document["components"], "allOf": [schema]})
        for example in examples:
            example = resolve(document, example)
            value = example["value"] if isinstance(example, dict) and "value" in example else example
            count += 1
            wrong += [f"{at}: {error.message}" for error in validator.iter_errors(value)]
    if wrong or count < 100:
        sys.exit("\n".join(wrong) or f"only {count} examples found")
    print(f"{count} examples are what their schemas say")


main(sys.argv[1])
