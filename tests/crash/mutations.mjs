// Steps of the durable write path as they stand in the source, and how mutants.mjs deletes or misplaces
// them. The tidy test wants every line here to be in its file.
const staged = 'src/storage/staged.c';
const syncLine = 'code = lh_file_sync(staged->fd, err);';
const isManifest = 'strstr(staged->name, ".new")'; // how manifests are called while they are staged
const settleLine = 'code = bucket->backend->settle(bucket, key.text, err);';
const noDataSync = [staged, syncLine, `code = ${isManifest} ? lh_file_sync(staged->fd, err) : LH_OK;`];
const noManifestSync = [staged, syncLine, `code = ${isManifest} ? LH_OK : lh_file_sync(staged->fd, err);`];
const noFolderSync = [staged, settleLine, 'code = LH_OK;'];
const publishData = 'code = publish_one(bucket, &targets[i], &is_unknown, err);';
const publishManifest = 'code = (is_replacing ? bucket->backend->replace : bucket->backend->publish)(\n            bucket, staged->name, text.text, &is_unknown, err);';
// A file's fsync where it comes too late: under its last name.
const lateSync = (key) => ` { int fd = -1; if (!code) code = lh_file_open(storage->dir, ${key}, true, &fd, err); if (!code) code = lh_file_sync(fd, err); lh_file_abandon(fd); }`;
const put = 'lh_buf_str(&buf), err);';
const publishFiles = 'enum lh_code code = storage_publish(task->ingest->storage, bucket_of(task), targets, 1, err);';
const commitLine = 'code = commit(task, dataset_id, &data, &rejects, result, err);';

// What is deleted or comes too late, the lines and what stands in their place, and what the red test
// must say.
export const mutations = [
  ['no fsync of the data file', [noDataSync], /^missing or too late: fsync of the data file after its last write$/],
  ['no fsync of the manifest', [noManifestSync], /^missing or too late: fsync of the manifest$/],
  ["no fsync of the data file's folder", [noFolderSync], /^missing or too late: fsync of the data file's folder$/],
  ["no fsync of the manifest's folder", [[staged, 'if (bucket->backend->settle(bucket, text.text, err) != LH_OK)', 'if (code)']], /^missing or too late: fsync of the manifest's folder$/],
  ['no fsync above a new folder', [['src/storage/folders.c', 'code = lh_dir_sync(dir, text.text, err);', 'code = LH_OK;']], /^missing or too late: fsync of the folder above \/datasets\//],
  ['files replace each other', [['src/storage/local.c', 'code = lh_file_publish(dir, staged, key, err);', 'code = lh_file_replace(dir, staged, key, err);']], /^the data file could replace another$/],
  ['the data file is not renamed, and the catalog does not look', [[staged, publishData, 'targets[i].staged->state = STAGED_SEALED;'], ['src/catalog/group.c', 'code = trust_note(catalog, &change->objects[i], err);', 'code = LH_OK;']], /^missing or too late: the data file is renamed into place$/],
  ['the data file is not renamed', [[staged, publishData, 'targets[i].staged->state = STAGED_SEALED;']], /"code":"damaged"|The data file '[^']*' is missing/],
  ['the manifest is not published', [[staged, publishManifest, `if (!strstr(text.text, "_catalog/datasets/")) ${publishManifest}`]], /^missing or too late: the manifest is published$/],
  ['the manifest is published before it is sealed', [[staged, 'code = storage_staged_seal(staged, &sum, err); /* compares with what was written */', 'staged->state = STAGED_SEALED, memset(&sum, 0, sizeof(sum));']], /^missing or too late: fsync of the manifest$/],
  ['the data file is renamed before its fsync', [noDataSync, [staged, publishData, `{ ${publishData}${lateSync('targets[i].key.data')} }`]], /^missing or too late: fsync of the data file after its last write$/],
  ['the manifest is published before its fsync', [noManifestSync, [staged, publishManifest, `{ ${publishManifest}${lateSync('text.text')} }`]], /^missing or too late: fsync of the manifest$/],
  ["the manifest is published before the data file's folder is durable", [noFolderSync, ['src/catalog/publish.c', put, `${put}\n    for (size_t i = 0; !code && i < manifest->added.count; i++)\n        code = storage_sync_folder(catalog->storage, STORAGE_PRIMARY, manifest->added.items[i].key, err);`]], /^the manifest is written before the data file's folder is durable$/],
  ['the manifest is published before the data file', [['src/ingest/write.c', publishFiles, 'enum lh_code code = LH_OK;'], ['src/ingest/write.c', commitLine, `${commitLine}\n    if (!code) code = storage_publish(task->ingest->storage, STORAGE_PRIMARY, &(struct storage_target){.staged = data.file.staged, .key = data.key}, 1, err);`], ['src/catalog/group.c', 'code = trust_note(catalog, &change->objects[i], err);', 'code = LH_OK;']], /^the manifest is written before the data file's folder is durable$/],
];
