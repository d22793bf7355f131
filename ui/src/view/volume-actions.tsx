import type { VolumeRecord } from "../api/records.ts";
import { kindOf } from "../model/names.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { CopyVolumeDialog, PullDialog } from "./copy-dialogs.tsx";
import { DeleteVolumeDialog } from "./delete-dialogs.tsx";
import { FenceDialog, UnfenceDialog } from "./fence-dialogs.tsx";
import { TakeSnapshotDialog } from "./snapshot-dialogs.tsx";
import { RenameDialog, ResizeDialog } from "./volume-dialogs.tsx";

interface VolumeActionsProps {
  readonly volume: VolumeRecord;
  readonly isFenced: boolean;
}

/** What can be done with a volume. One that is fenced can be copied and unfenced. */
export function VolumeActions({ volume, isFenced }: VolumeActionsProps) {
  const { session, dialog } = useStore();
  if (!session.can("operate")) return null;
  const isImage = kindOf(volume.id) === "image";
  const open = (content: preact.JSX.Element) => () => {
    dialog.value = content;
  };
  return (
    <div class="detail-actions">
      {!isFenced && (
        <Button kind="main" icon="snapshot" onClick={open(<TakeSnapshotDialog dataset={volume.id} />)}>
          Take a snapshot
        </Button>
      )}
      <Button icon="copy" label="Copy" onClick={open(<CopyVolumeDialog volume={volume.id} />)} />
      {isFenced && <Button onClick={open(<UnfenceDialog volume={volume.id} />)}>Unfence</Button>}
      {!isImage && !isFenced && (
        <>
          <Button icon="resize" label="Resize" onClick={open(<ResizeDialog volume={volume} />)} />
          <Button icon="rename" label="Rename" onClick={open(<RenameDialog volume={volume} />)} />
          {session.configured().peers.length > 0 && (
            <Button
              icon="replication"
              label="From a peer"
              onClick={open(<PullDialog volume={volume.id} />)}
            />
          )}
          <Button icon="fence" label="Fence" onClick={open(<FenceDialog volume={volume.id} />)} />
          <Button kind="danger" icon="remove" onClick={open(<DeleteVolumeDialog volume={volume} />)}>
            Delete
          </Button>
        </>
      )}
    </div>
  );
}
