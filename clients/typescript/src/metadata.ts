import { Metadata, type MetadataValue } from "@grpc/grpc-js";

/** Metadata of a call: a `Metadata` of grpc-js, or a plain object. */
export type MetadataInit = Metadata | Readonly<Record<string, MetadataValue>>;

/** Converts a plain object to a `Metadata` of grpc-js. Returns a `Metadata` unchanged. */
export function toMetadata(init: MetadataInit = {}): Metadata {
  if (init instanceof Metadata) return init;
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(init)) metadata.set(key, value);
  return metadata;
}

/** Returns a copy of the metadata with the defaults added for the keys that it lacks. */
export function addDefaults(metadata: Metadata, defaults: Metadata): Metadata {
  const all = metadata.clone();
  for (const key of Object.keys(defaults.getMap())) {
    if (metadata.get(key).length === 0) for (const value of defaults.get(key)) all.add(key, value);
  }
  return all;
}
