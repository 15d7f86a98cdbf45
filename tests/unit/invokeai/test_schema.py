"""A server's nodes, compared with what the graphs use."""

import pytest

from engines.base import Feature
from engines.errors import EngineProtocolError
from engines.invokeai.schema import needs, needs_of, read_schema
from tests.fakes.invokeai_graphs import NODES, RECORDED, openapi


def test_a_known_release_lacks_nothing() -> None:
    schema = read_schema(openapi())
    assert schema.schedulers == frozenset(RECORDED["schedulers"])
    assert schema.missing(needs()) == ()
    lacking = {feature: schema.missing(used) for feature, used in needs_of().items()}
    assert set(lacking.values()) == {()}
    unasked = {Feature.PREVIEWS, Feature.REATTACH, Feature.RESUME}
    assert set(lacking) == set(Feature) - unasked


@pytest.mark.parametrize(
    ("kind", "feature"),
    [
        ("seamless", Feature.TILING),
        ("spandrel_image_to_image_autoscale", Feature.UPSCALE),
        ("controlnet", Feature.CONTROL),
        ("lresize", Feature.HIRES),
        ("create_denoise_mask", Feature.INPAINT),
        ("i2l", Feature.IMG2IMG),
        ("sdxl_lora_collection_loader", Feature.LORA),
        ("sdxl_refiner_compel_prompt", Feature.REFINER),
    ],
)
def test_a_missing_node_costs_its_feature_and_no_plain_picture(kind: str, feature: Feature) -> None:
    schema = read_schema(openapi(frozenset({kind})))
    assert schema.missing(needs()) == ()
    assert kind in schema.missing(needs_of()[feature])


def test_a_renamed_field_is_noticed() -> None:
    description = openapi()
    fields = description["components"]["schemas"]["denoise_latents_invocation"]["properties"]
    fields["sampler"] = fields.pop("scheduler")
    fields["sampler"] = {"title": "Sampler"}
    assert read_schema(description).missing(needs()) == ("denoise_latents.scheduler",)


def test_every_node_that_is_used_is_recorded() -> None:
    assert set(needs()) <= set(NODES)


@pytest.mark.parametrize("description", [None, {}, {"components": {"schemas": {"A": {}}}}])
def test_a_description_without_nodes_is_a_breach_of_protocol(description: object) -> None:
    with pytest.raises(EngineProtocolError):
        read_schema(description)
