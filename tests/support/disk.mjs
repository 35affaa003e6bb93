// A small disk of its own, in memory, for what happens when there is no room.
import { execFileSync } from 'node:child_process';
import { temporaryFolder } from './server.mjs';

// null where nobody may mount one. remove() unmounts it: whoever writes there must have ended.
export function smallDisk(megabytes) {
  const folder = temporaryFolder('disk');
  const mount = (options) => execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'lakehouse-test', folder.path], { stdio: 'pipe' });
  try {
    mount(`size=${megabytes}m,mode=0700`);
  } catch {
    folder.remove();
    return null;
  }
  return {
    path: folder.path,
    grow: (to) => mount(`remount,size=${to}m`),
    remove: () => {
      execFileSync('umount', [folder.path], { stdio: 'pipe' });
      folder.remove();
    },
  };
}
