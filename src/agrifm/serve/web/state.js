// What the page shows, in one object, and who wants to know of a change.

export const state = {
  layer: "", // key of the map's layer; "" = none
  opacity: 100, // of that layer, percent
  hidden: new Set(), // numbers of classes that the layer leaves out
  sensor: "", // of the imagery beneath
  picture: "", // its kind; "" = none
  date: "", // ISO day
  compare: "", // right side: a layer's key, or SENSOR/PICTURE@DATE; "" = none
  divider: 50, // percent of the map's width
  parcels: false,
  place: null, // [longitude, latitude] that was chosen
};

const listeners = [];

/** Call `listener` with the names that changed after each change. */
export function onChange(listener) {
  listeners.push(listener);
}

/** Change some values, and tell everyone. */
export function change(values) {
  const another = values.layer !== undefined && values.layer !== state.layer;
  if (another && state.hidden.size && !values.hidden) values = { ...values, hidden: new Set() };
  const names = Object.keys(values).filter((name) => values[name] !== state[name]);
  if (!names.length) return;
  Object.assign(state, values);
  const changed = new Set(names);
  for (const listener of listeners) listener(changed);
}
