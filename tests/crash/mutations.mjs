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

// The same of what stands beside a commit's write path: the test program that must turn red, and its test.
const compactWrite = 'src/query/compact_write.c', change = 'src/catalog/change.c', log = 'src/storage/log.c';
const journalLog = 'src/journal/log.c', undo = 'src/catalog/undo.c', eraseJob = 'src/lake/erase_job.c', chain = 'src/catalog/chain.c';
const store = 'src/storage/backup_store.c', restore = 'src/storage/restore.c';
const stamp = 'change->tombstone_stamp != state->view.tombstone_stamp';
const isSum = 'memcmp(sum->sha256, copying->expected->sha256, sizeof sum->sha256) == 0;';
export const otherMutations = [
  ['compaction: what was written is not compared', [[compactWrite, 'code = compact_compare(&sums, group, &file->content, err);', 'code = LH_OK;']], 'op.compact_sums', 'a_neighbour_in_place_of_a_deleted_row_is_noticed'],
  ['compaction: its files may be gone', [[change, '        if (!found)\n            return lh_fail(err, LH_RACE,', '        if (!found)\n            continue;\n        if (!found)\n            return lh_fail(err, LH_RACE,']], 'unit.catalog.commit', 'a_rewrite_of_files_that_are_gone_loses_the_race'],
  ['compaction: tombstones may have come', [[change, `if (${stamp})`, 'if (0)'], [change, `if (change->tombstone_stamp && state && ${stamp})`, 'if (0)']], 'unit.catalog.commit', 'a_rewrite_that_loses_rows_or_knows_other_tombstones_is_refused'],
  ['compaction: rows may go', [[change, '    if (rows)\n        return lh_fail(err, LH_INVALID, "A rewrite', '    if (0)\n        return lh_fail(err, LH_INVALID, "A rewrite']], 'unit.catalog.commit', 'a_rewrite_that_loses_rows_or_knows_other_tombstones_is_refused'],
  ['tombstones: their checksum', [['src/catalog/tombstone_file.c', 'if ((int64_t)bytes.len != object->bytes || memcmp(sum, object->sha256, sizeof sum) != 0) {', 'if (0) {']], 'op.tombstones', 'damaged_tombstones_show_nothing_rather_than_too_much'],
  ['log: no fsync of what is appended', [[log, 'if (lh_file_sync(log->fd, err) != LH_OK)', 'if (0)']], 'unit.storage.storage', 'a_log_is_durable_when_it_is_opened_and_takes_nothing_after_a_failed_fsync'],
  ['log: no fsync of one that is opened', [[log, 'return code ? code : lh_file_sync(log->fd, err);', 'return code;']], 'unit.storage.storage', 'a_log_is_durable_when_it_is_opened_and_takes_nothing_after_a_failed_fsync'],
  ['log: it goes on after a failed fsync', [[log, '    log->is_doubtful = true;\n', '']], 'unit.storage.storage', 'a_log_is_durable_when_it_is_opened_and_takes_nothing_after_a_failed_fsync'],
  ['log: a torn end stays', [[log, 'if (!code && info.bytes > log->bytes)', 'if (0)']], 'unit.storage.storage', 'what_stands_behind_the_good_part_of_a_log_is_cut_off_when_it_is_opened'],
  ["journal: a record's checksum", [['src/journal/record.c', '    if (lh_little_get(bytes.data + len - 4, 4) != lh_crc32c(0, bytes.data, len - 4))\n        return LH_DAMAGED;', '']], 'unit.journal.journal', 'every_flipped_bit_of_a_log_is_found'],
  ['journal: the chain', [[journalLog, 'bool is_next = record->sequence == reading->expected &&\n                   memcmp(record->previous, reading->previous, LH_SHA256_BYTES) == 0;', 'bool is_next = record->sequence == reading->expected;']], 'unit.journal.journal', 'a_record_that_was_removed_changed_swapped_parted_or_cut_off_is_found'],
  ['journal: what stands between records', [[journalLog, 'note_damage(reading); /* something whole stands behind what is not */', '(void)0;']], 'unit.journal.journal', 'a_record_that_was_removed_changed_swapped_parted_or_cut_off_is_found'],
  ['journal: a torn write is taken for damage', [[journalLog, 'if (is_torn_write(&here)) {', 'if (0) {']], 'unit.journal.ends', 'the_end_of_a_write_without_its_beginning_is_torn_but_not_before_a_later_write'],
  ['undo: what comes back is not compared', [[undo, '        code = catalog_ensure_verified(undoing->catalog, before->objects[i],\n                                       undoing->options->cancel, err);', '']], 'op.versions', 'a_damaged_file_does_not_come_back'],
  ['undo: another commit may have come', [[undo, '        .expected_version = undoing->now->version,\n', '']], 'op.versions', 'an_undo_takes_back_what_was_last_when_it_was_asked_for_or_nothing'],
  ['erasure: older versions stay', [[eraseJob, 'code = expire_once(run, dataset, done, &floor, &is_all, err);', 'is_all = true;']], 'op.erase_ends', 'rows_are_hidden_before_the_request_is_answered'],
  ['erasure: no scan at its end', [['src/lake/erase_proof.c', '        erase_scan_find(&run->scanning, look.places[i].object, look.places[i].what);\n    if (!code)\n        code = erase_scan(&run->scanning, err);', '        erase_scan_find(&run->scanning, look.places[i].object, look.places[i].what);']], 'op.erase_ends', 'one_that_is_incomplete_can_be_given_up'],
  ['erasure: what was set aside stays', [[eraseJob, 'code = remove_leftovers(run, err);\n        if (!code)\n            code = erase_prove', 'code = LH_OK;\n        if (!code)\n            code = erase_prove']], 'op.erase_ends', 'jobs_that_name_a_key_are_forgotten'],
  ['move: a copy is not compared', [['src/storage/copy.c', isSum, '1;']], 'unit.catalog.move', 'a_file_that_is_damaged_is_not_moved'],
  ['move: what came meanwhile is not copied', [['src/catalog/move.c', '        if (!copied || copied == LH_DAMAGED)\n            code = make_plan(run->catalog, run->options, plan, err);', '        if (!copied)\n            return LH_OK;']], 'unit.catalog.move', 'what_expires_meanwhile_is_not_brought_along'],
  ["backup: a file's checksum", [[store, 'if (!code && input->expected && memcmp(ret, input->expected, LH_SHA256_BYTES) != 0) {', 'if (0) {']], 'unit.storage.backup', 'a_damaged_file_of_the_lake_is_named_and_not_backed_up'],
  ["backup: the list's checksum", [['src/storage/backup_list.c', 'if (memcmp(said, found, sizeof said) != 0)', 'if (0)']], 'unit.storage.backup', 'no_flipped_bit_of_a_backup_is_restored'],
  ['backup: no fsync of a file', [[store, 'code = lh_file_sync(fd, err);', 'code = LH_OK;']], 'unit.storage.backup', 'a_backup_and_what_is_restored_from_it_are_durable_before_they_are_named'],
  ['backup: no fsync of its folders', [['src/storage/backup_list.c', 'return code ? code : lh_dir_sync(store->dir, BACKUP_LISTS, err);', 'return code;']], 'unit.storage.backup', 'a_backup_and_what_is_restored_from_it_are_durable_before_they_are_named'],
  ['restore: the backup is not looked at', [[restore, '            code = backup_store_check(&restoring->store, files[i], restoring->options->cancel, NULL,\n                                      err);', '            code = LH_OK;']], 'unit.storage.backup', 'no_flipped_bit_of_a_backup_is_restored'],
  ['restore: no fsync of a file', [[restore, 'code = lh_file_sync(to, err);', 'code = LH_OK;']], 'unit.storage.backup', 'a_backup_and_what_is_restored_from_it_are_durable_before_they_are_named'],
  ["checkpoint: its manifest's hash", [[chain, '!code && memcmp(checkpoint->sha256, wanted->sha256, sizeof wanted->sha256) == 0 &&', '!code &&']], 'unit.catalog.forged', 'a_checkpoint_that_was_exchanged_is_passed_over'],
  ["manifest: its parent's hash", [[chain, 'if (!is_newest && memcmp(item->sha256, wanted.sha256, sizeof wanted.sha256) != 0)', 'if (0)']], 'unit.catalog.forged', 'a_version_that_was_exchanged_does_not_fit_the_one_made_from_it'],
  ['manifest: its own checksum', [['src/catalog/manifest_read.c', 'if (memcmp(ret_sha256, written, sizeof written) != 0)', 'if (0)']], 'unit.catalog.manifest', 'every_flipped_bit_and_every_cut_is_noticed'],
  ['manifest: a version is missing', [[chain, 'if (!code && manifest.parent.version >= wanted)', 'if (0)']], 'unit.catalog.recovery', 'a_missing_version_below_the_newest_is_damage'],
  ['manifest: what it counts', [[chain, '        code = state_check(state, manifest, err);\n        ret->changes', '        ret->changes']], 'unit.catalog.forged', 'counts_that_do_not_add_up_are_damage'],
  ['data file: its checksum before it is read', [['src/catalog/trust.c', 'if (sum.bytes == object->bytes && memcmp(sum.sha256, object->sha256, sizeof sum.sha256) == 0)', 'if (sum.bytes == object->bytes)']], 'unit.catalog.recovery', 'a_data_file_that_changed_is_found_before_it_is_read'],
  ['data file: another one under its name', [['src/catalog/trust.c', 'entry->is_good && storage_is_same(&entry->info, info);', 'entry->is_good;']], 'op.repair', 'a_damaged_file_is_set_aside_by_a_commit_and_comes_back_by_an_undo'],
  ['epoch: a later writer is not looked for', [['src/catalog/publish.c', 'enum lh_code code = epoch_check(catalog, err);', 'enum lh_code code = LH_OK;']], 'unit.catalog.recovery', 'a_writer_stops_when_a_later_one_has_begun'],
];
