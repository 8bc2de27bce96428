import { Metadata, type MetadataValue } from "@grpc/grpc-js";

/** Metadata as grpc-js has it, or just as an object. */
export type MetadataInit = Metadata | Readonly<Record<string, MetadataValue>>;

/** Metadata as grpc-js has it. */
export function asMetadata(init: MetadataInit = {}): Metadata {
  if (init instanceof Metadata) return init;
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(init)) metadata.set(key, value);
  return metadata;
}

/** The metadata, and of the defaults those whose keys it does not have. */
export function withDefaults(metadata: Metadata, defaults: Metadata): Metadata {
  const all = metadata.clone();
  for (const key of Object.keys(defaults.getMap())) {
    if (metadata.get(key).length === 0) for (const value of defaults.get(key)) all.add(key, value);
  }
  return all;
}
