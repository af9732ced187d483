from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chatcli.models.file_inputs import _ABLE


def test_the_models_that_a_refusal_names_take_images_and_pdf() -> None:
    for name in _ABLE:
        profile = ChatOpenAI(model=name.removeprefix("openai:"), api_key=SecretStr("none")).profile
        assert profile
        assert profile["image_inputs"]
        assert profile["pdf_inputs"]
