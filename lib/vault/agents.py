"""The agentManager tools that keep custom agents, and the list of models; the generative ones are elsewhere."""

from dataclasses import replace

from lib.vault import generative, images
from lib.vault.call import Context, ToolError
from lib.vault.memory import hint
from lib.vault.state import Agent, Model, Vault

TEXT_FIELDS = ("name", "description", "prompt")
TEXT_ONLY = "This is the agent's text only; nothing was run. executePrompt runs it."
PRICES_OF = "2025-11-01"  # a fixed date, so that the list never changes by itself
PROVIDER_NAMES = {
    "anthropic": "Anthropic Claude",
    "google": "Google AI",
    "lmstudio": "LM Studio",
    "ollama": "Ollama",
    "openai": "OpenAI",
    "openrouter": "OpenRouter",
}


def create_agent(vault: Vault, args: dict, context: Context) -> dict:
    """A new agent under a name of its own; texts are trimmed."""
    texts = {field: args[field].strip() for field in TEXT_FIELDS}
    for field, text in texts.items():
        if not text:
            raise _refusal(f"{field.capitalize()} is required")
    if _by_name(vault, texts["name"]):
        raise _refusal(f'Failed to create agent: Error: A prompt with the name "{texts["name"]}" already exists')
    agent = Agent(id=vault.new_id("prompt"), **texts, is_enabled=args.get("isEnabled", True))
    vault.agents[agent.id] = agent
    message = f'executePrompt runs it when given agent "{agent.name}".'
    return {"data": _shown(agent), "recommendations": hint("agent_usage", message)}


def update_agent(vault: Vault, args: dict, context: Context) -> dict:
    """The agent with the given fields overwritten."""
    changes = {field: args[field].strip() for field in TEXT_FIELDS if field in args}
    if not changes and "isEnabled" not in args:
        raise _refusal("At least one field must be provided for update")
    for field, text in changes.items():
        if not text:
            raise _refusal(f"{field.capitalize()} cannot be empty")
    agent = _stored(vault, args["id"])
    namesake = _by_name(vault, changes.get("name", agent.name))
    if namesake and namesake.id != agent.id:
        raise _refusal(f'A prompt with the name "{namesake.name}" already exists')
    agent = replace(agent, **changes, is_enabled=args.get("isEnabled", agent.is_enabled))
    vault.agents[agent.id] = agent
    message = "Workspaces bound to this agent use the new text from now on."
    return {"data": _shown(agent), "recommendations": hint("agent_update", message)}


def toggle_agent(vault: Vault, args: dict, context: Context) -> dict:
    """The agent, switched on if it was off and off if it was on."""
    agent = _stored(vault, args["id"])
    vault.agents[agent.id] = replace(agent, is_enabled=not agent.is_enabled)
    return {"data": _shown(vault.agents[agent.id])}


def delete_agent(vault: Vault, args: dict, context: Context) -> dict:
    """Removes an agent for good, by id."""
    agent = _stored(vault, args["id"])
    del vault.agents[agent.id]
    return {"data": {"deleted": True, "id": agent.id}}


def get_agent(vault: Vault, args: dict, context: Context) -> dict:
    """One agent's text by id, or by name; disabled ones too."""
    wanted, name = args.get("id"), args.get("name")
    if not wanted and not name:
        raise _refusal("Either id or name must be provided")
    agent = vault.agents.get(wanted) or _by_name(vault, wanted) if wanted else _by_name(vault, name)
    if agent is None:
        raise _refusal(f'Agent with ID "{wanted}" not found' if wanted else f'Agent with name "{name}" not found')
    data = _shown(agent) | {"message": TEXT_ONLY}
    return {"data": data, "recommendations": hint("agent_usage", "Take on the prompt text to act as this agent.")}


def list_agents(vault: Vault, args: dict, context: Context) -> dict:
    """The agents without their prompt texts; both counts are of all agents, whatever the filter."""
    only = args.get("enabledOnly", False)
    shown = [agent for agent in vault.agents.values() if agent.is_enabled or not only]
    enabled = sum(agent.is_enabled for agent in vault.agents.values())
    data = {
        "prompts": [
            {"id": agent.id, "name": agent.name, "description": agent.description, "isEnabled": agent.is_enabled}
            for agent in shown
        ],
        "totalCount": len(vault.agents),
        "enabledCount": enabled,
        "message": f"{len(shown)} of {len(vault.agents)} agents listed, {enabled} enabled.",
    }
    return {"data": data, "recommendations": hint("agent_usage", "getAgent shows the prompt text of one of them.")}


def list_models(vault: Vault, args: dict, context: Context) -> dict:
    """The models on offer with what they can do and cost, the default, and the providers."""
    models = vault.models
    default = next((model for model in models if model.is_default), models[0] if models else None)
    windows = [model.context_window for model in models]
    prices = [price for model in models for price in (model.input_price, model.output_price)]
    providers = list(dict.fromkeys(model.provider for model in models))
    return {
        "data": {
            "models": [_model(model, model is default) for model in models],
            "defaultModel": {
                "provider": default.provider if default else "",
                "model": default.model if default else "",
            },
            "statistics": {
                "totalModels": len(models),
                "providerCount": len(providers),
                "averageContextWindow": round(sum(windows) / len(windows)) if windows else 0,
                "maxContextWindow": max(windows, default=0),
                "minCostPerMillion": min(prices, default=0),
                "maxCostPerMillion": max(prices, default=0),
            },
            "availableProviders": [
                {
                    "id": provider,
                    "name": PROVIDER_NAMES.get(provider, provider),
                    "description": f"Models served by {PROVIDER_NAMES.get(provider, provider)}",
                    "isEnabled": True,
                    "modelCount": sum(model.provider == provider for model in models),
                }
                for provider in providers
            ],
        }
    }


def _model(model: Model, is_default: bool) -> dict:
    return {
        "provider": model.provider,
        "model": model.model,
        "displayName": model.name,
        "isDefault": is_default,
        "capabilities": {
            "contextWindow": model.context_window,
            "maxOutputTokens": model.max_output,
            "supportsJSON": "json" in model.supports,
            "supportsImages": "images" in model.supports,
            "supportsFunctions": "functions" in model.supports,
            "supportsStreaming": "streaming" in model.supports,
            "supportsThinking": "thinking" in model.supports,
        },
        "pricing": {
            "inputPerMillion": model.input_price,
            "outputPerMillion": model.output_price,
            "currency": "USD",
            "lastUpdated": PRICES_OF,
        },
    }


def _shown(agent: Agent) -> dict:
    return {
        "id": agent.id,
        "name": agent.name,
        "description": agent.description,
        "prompt": agent.prompt,
        "isEnabled": agent.is_enabled,
    }


def _refusal(text: str) -> ToolError:
    return ToolError(text, data=None)


def _stored(vault: Vault, wanted: str) -> Agent:
    if wanted not in vault.agents:
        raise _refusal(f'Prompt with ID "{wanted}" not found')
    return vault.agents[wanted]


def _by_name(vault: Vault, name: str | None) -> Agent | None:
    return next((agent for agent in vault.agents.values() if agent.name == name), None)


TOOLS = {
    "agentManager_createAgent": create_agent,
    "agentManager_updateAgent": update_agent,
    "agentManager_toggleAgent": toggle_agent,
    "agentManager_deleteAgent": delete_agent,
    "agentManager_getAgent": get_agent,
    "agentManager_listAgents": list_agents,
    "agentManager_listModels": list_models,
    **generative.TOOLS,
    **images.TOOLS,
}
