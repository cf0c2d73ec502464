// What extensions registered, for components.

import { createContext, useContext, useSyncExternalStore } from "react";

import type { Registered } from "./registry";
import { Registry } from "./registry";

/** Where there is no provider nothing is registered. */
export const ExtensionsContext = createContext(new Registry());

export function useRegistry(): Registry {
  return useContext(ExtensionsContext);
}

export function useExtensions(): Registered {
  const registry = useRegistry();
  return useSyncExternalStore(registry.subscribe, registry.state);
}
