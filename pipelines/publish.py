"""Publishes a compiled file as the version `git-<revision>` of its pipeline on the server."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gan_core.errors import InvalidInput
from pipelines import changes, package, server


def version_name() -> str:
    """Returns `git-<revision>` of the working tree. The bare revision could look like a number.

    Raises:
        InvalidInput: there is no git repository, or the tree has uncommitted changes.
    """
    try:
        uncommitted = _git("status", "--porcelain")
        revision = _git("rev-parse", "--short=12", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        raise InvalidInput(
            f"A version is named after the git revision, so the folder must be a git repository. Received: {error}"
        ) from None
    if uncommitted:
        raise InvalidInput(f"A version is named after the git revision, so commit first. Received: {uncommitted}")
    return f"git-{revision}"


def publish(file: Path, host: str | None, namespace: str, dry_run: bool) -> str:
    """Creates the pipeline and its version, each only if the server does not have it.

    Returns:
        A sentence that says what was done.

    Raises:
        InvalidInput: the file, the tree or the image is not valid for a version, or the server refuses.
        TryAgain: the server does not answer.
    """
    specification = package.read(file)
    name, version = specification["pipelineInfo"]["name"], version_name()
    description, _ = changes.split_description(specification)
    moving = sorted(image for image in package.images(specification) if "@sha256:" not in image)
    if moving:
        raise InvalidInput(f"A published version must name its image by digest (@sha256:…). Received: {moving[0]}")
    if dry_run:
        return f"Would publish {name} {version}"
    with server.connected(host, namespace) as client:
        # On a multi-user host the pipeline is the user's own, because others are not allowed to change a shared one.
        namespace = client.get_user_namespace()
        pipeline_id = server.find_pipeline(client, name, namespace)
        if pipeline_id is None:
            # Not `upload_pipeline`: it cannot name the first version.
            pipeline_id = client.pipelines.pipeline_service_create_pipeline(
                client.api_models.V2beta1Pipeline(
                    display_name=name, description=description, namespace=namespace or None
                )
            ).pipeline_id
        existing = server.pages(client.list_pipeline_versions, "pipeline_versions", pipeline_id=pipeline_id)
        if found := [one for one in existing if one.display_name == version]:
            if server.specification_of(found[0]) != specification:
                raise InvalidInput(
                    "A published version cannot change, so commit the change first. "
                    f"Received: {file}, which differs from {name} {version} on the server"
                )
            return f"{name} {version} is already published"
        whole = specification["pipelineInfo"].get("description")
        client.upload_pipeline_version(str(file), version, pipeline_id=pipeline_id, description=whole)
    return f"Published {name} {version}"


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
