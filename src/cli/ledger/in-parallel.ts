/** Runs `act` for each item, so many at a time, and resolves when all are done; the first failure stops the rest. */
export async function inParallel<Item>(
  items: readonly Item[],
  parallel: number,
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  let failed = false;
  const lane = async () => {
    for (const item of rest) {
      if (failed) return;
      try {
        await act(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: parallel }, lane));
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
}
