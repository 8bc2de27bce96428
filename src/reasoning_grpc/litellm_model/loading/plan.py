"""The modules that are put off while litellm is imported.

Measured on litellm 1.106.2 and openai 2.54.0: no chat completion needs them, and they take half of the time and a third
of the memory of the import. Each is still there: it is imported when it is first used.
"""

from typing import Final

RE_EXPORTING: Final = "openai.types"
"""The package whose names, and those of the packages in it, are imported one by one."""

_OTHER_APIS: Final = (
    "anthropic_interface",
    "budget_manager",
    "compression",
    "evals.main",
    "google_genai",
    "interactions",
    "interactions.agents.main",
    "passthrough",
    "rag",
    "realtime_api.main",
    "router",
    "skills.main",
    "vector_store_files.main",
    "vector_stores.vector_store_registry",
)
"""Modules of litellm's APIs beside chat completions."""

_LOGGERS: Final = (
    "agentops",
    "argilla",
    "arize.arize",
    "arize.arize_phoenix",
    "athina",
    "azure_sentinel.azure_sentinel",
    "azure_storage.azure_storage",
    "clickhouse.clickhouse_spend_logger",
    "datadog.datadog",
    "datadog.datadog_llm_obs",
    "datadog.datadog_metrics",
    "deepeval.deepeval",
    "dotprompt",
    "dynamodb",
    "galileo",
    "gcs_bucket.gcs_bucket",
    "gcs_pubsub.pub_sub",
    "greenscale",
    "helicone",
    "humanloop",
    "lago",
    "langfuse.langfuse",
    "langfuse.langfuse_handler",
    "langfuse.langfuse_prompt_management",
    "langsmith",
    "langtrace",
    "literal_ai",
    "logfire_logger",
    "lunary",
    "mlflow",
    "newrelic",
    "openmeter",
    "opik.opik",
    "pointfive",
    "posthog",
    "prompt_layer",
    "s3",
    "s3_v2",
    "sqs",
    "supabase",
    "traceloop",
    "zerobus",
)
"""Modules of litellm's `integrations`: each sends a record of every call to a service. Ours turns all of them off."""

_HANDLERS: Final = (
    "azure.audio_transcriptions",
    "azure_ai.embed",
    "bedrock.embed.embedding",
    "bedrock.image_edit.handler",
    "bedrock.image_generation.image_handler",
    "bytez.chat.transformation",
    "clarifai.chat.transformation",
    "cohere.embed.handler",
    "databricks.embed.handler",
    "gdc.chat.transformation",
    "heroku.chat.transformation",
    "huggingface.embedding.handler",
    "lemonade.chat.transformation",
    "nlp_cloud.chat.handler",
    "nvidia_riva.audio_transcription.handler",
    "nvidia_riva.audio_transcription.transformation",
    "oci.chat.transformation",
    "openai.image_variations.handler",
    "openai.transcriptions.handler",
    "petals.completion.handler",
    "predibase.chat.handler",
    "replicate.chat.handler",
    "sagemaker.chat.handler",
    "sagemaker.completion.handler",
    "sap.chat.handler",
    "vertex_ai.gemini_embeddings.batch_embed_content_handler",
    "vertex_ai.image_generation.image_generation_handler",
    "vertex_ai.multimodal_embeddings.embedding_handler",
    "vertex_ai.vertex_embeddings.embedding_handler",
    "watsonx.chat.handler",
)
"""Modules of litellm's `llms`: what is no chat completion, and providers that few call."""

_OTHERS: Final = (
    "jinja2",  # for the templates of models on Hugging Face
    "jinja2.sandbox",
    "litellm.integrations.opentelemetry",
    "litellm.integrations.otel",
    "litellm.llms.azure.fine_tuning.handler",
    "litellm.llms.openai.fine_tuning.handler",
    "litellm.llms.vertex_ai.fine_tuning.handler",
    "litellm.proxy._types",
    "litellm.repositories.managed_file_repository",
    "litellm.types.interactions",
    "openai.lib.streaming",
)
"""Modules whose members litellm imports and does not use in a call, or uses in annotations alone."""

PUT_OFF: Final = frozenset(
    {
        *(f"litellm.{name}" for name in _OTHER_APIS),
        *(f"litellm.integrations.{name}" for name in _LOGGERS),
        *(f"litellm.llms.{name}" for name in _HANDLERS),
        *_OTHERS,
    }
)
"""The modules that are put off."""

FIRST_CALL: Final = ("litellm._service_logger", "litellm.proxy.openai_files_endpoints.common_utils")
"""Modules that litellm imports in its first call: with litellm, they too go without what is put off."""
