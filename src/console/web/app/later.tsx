// A part of the application whose code is loaded when it is wanted, or before.
//
// Not React's own `lazy`: what that suspends is held back for 300 ms after the last sign of waiting was shown, so that two such parts, one in
// the other, cost more than half a second however fast they come. Here what has come is drawn at once, and what came before without any
// sign of waiting.
import { type ComponentType, type ReactNode, useEffect, useState } from 'react';

export interface LaterComponent<P> {
  (props: P & { readonly waiting?: ReactNode }): ReactNode;
  /** Loads it; resolves when it can be drawn at once. */
  readonly preload: () => Promise<void>;
}

/** One that came with the page, where others come later. */
export function here<P extends object>(Part: ComponentType<P>): LaterComponent<P> {
  const Here = ({ waiting: _never, ...rest }: P & { readonly waiting?: ReactNode }): ReactNode => (
    <Part {...(rest as unknown as P)} />
  );
  return Object.assign(Here, { preload: async () => Promise.resolve() });
}

/** `waiting`, a property of the component, is shown until the code is there. A failure goes to the error boundary, and is not kept. */
export function later<P extends object>(load: () => Promise<ComponentType<P>>): LaterComponent<P> {
  let loaded: ComponentType<P> | null = null;
  const preload = async (): Promise<void> => {
    loaded ??= await load();
  };
  function Later({ waiting = null, ...rest }: P & { readonly waiting?: ReactNode }): ReactNode {
    const [Part, setPart] = useState<ComponentType<P> | null>(() => loaded);
    const [fault, setFault] = useState<unknown>(null);
    useEffect(() => {
      if (Part !== null) return;
      preload().then(() => setPart(() => loaded), setFault);
    }, [Part]);
    if (fault !== null) throw fault;
    return Part === null ? waiting : <Part {...(rest as unknown as P)} />;
  }
  return Object.assign(Later, { preload });
}
