//! The resources users write (Istio, Kubernetes, our own), as plain types with their schema.
