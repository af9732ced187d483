from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.models.model import _TAKING_FILES


def test_the_models_that_a_refusal_names_take_images_and_pdf() -> None:
    for name in _TAKING_FILES:
        profile = ChatOpenAI(model=name.removeprefix("openai:"), api_key=SecretStr("none")).profile
        assert profile
        assert profile["image_inputs"]
        assert profile["pdf_inputs"]
