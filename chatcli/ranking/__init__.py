"""How texts are searched by words: passages of documents, and what past threads say."""
