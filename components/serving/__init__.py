"""What serves models: Knative, Ollama, the dialogue and its door."""
