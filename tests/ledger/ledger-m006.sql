BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'azr_platform.ledger','m001_tables','2026-11-29 20:48:36.745736+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'azr_platform.ledger','m002_chain','2026-11-29 20:48:36.751692+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'azr_platform.ledger','m003_no_replace','2026-11-29 20:48:36.756116+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'azr_platform.ledger','m004_blocked','2026-11-29 20:48:36.759251+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'azr_platform.ledger','m005_branch_changes','2026-11-29 20:48:36.763730+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'azr_platform.ledger','m006_removals','2026-11-29 20:48:36.767747+00:00');
CREATE TABLE "alert_acks" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "alert" INTEGER,
   "who" TEXT,
   "note" TEXT
);
CREATE TABLE "alerts" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "branch" INTEGER,
   "step" INTEGER,
   "severity" INTEGER,
   "rule" TEXT,
   "sample" INTEGER,
   "message" TEXT
);
CREATE TABLE "audits" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "audit" TEXT,
   "policy" TEXT,
   "sample" INTEGER,
   "allowed" INTEGER,
   "severity" INTEGER,
   "score" REAL,
   "findings" TEXT,
   "reason" TEXT
);
CREATE TABLE "branch_changes" (
   "id" INTEGER PRIMARY KEY,
   "branch" INTEGER,
   "what" TEXT,
   "value" TEXT,
   "why" TEXT
);
CREATE TABLE "branches" (
   "id" INTEGER PRIMARY KEY,
   "created_at" REAL,
   "parent" INTEGER,
   "from_step" INTEGER,
   "reason" TEXT
);
INSERT INTO "branches" VALUES(1,1.0,NULL,0,'start');
CREATE TABLE "chain" (
   "id" INTEGER PRIMARY KEY,
   "tbl" TEXT,
   "row" INTEGER,
   "digest" BLOB
);
INSERT INTO "chain" VALUES(1,'run',1,X'82401CE0D84662D6B4D5B1E13625045C372E6EF70156AD71C8EAFCFC2531C90B');
INSERT INTO "chain" VALUES(2,'branches',1,X'54C5243D8F9B8BA544FC77B556E99B9382936258BE81529AA18FB529059459F6');
INSERT INTO "chain" VALUES(3,'samples',1,X'93B17B8CFDAF1A3601D5C1AEB7B167D78020CA12603417A1C9275E8F6BC6ECBF');
INSERT INTO "chain" VALUES(4,'verdicts',1,X'8A5C714F891EA0ECF17B4A91D2410426C7850C9D951F887595755A6CECE0B110');
INSERT INTO "chain" VALUES(5,'samples',2,X'303A646C0BF8E72332C95EF0735FD4C43BA2059CF1265472B933F347ECC85EFA');
INSERT INTO "chain" VALUES(6,'verdicts',2,X'33326E7315DB67BBEA15B788B4338E889210B4AACDF4D3A9A5D4002ACDF7DF94');
INSERT INTO "chain" VALUES(7,'samples',3,X'E460FD31CDC8E70DA7CD021657AC3550AE862163B855DE6A36E7551F53845D43');
INSERT INTO "chain" VALUES(8,'verdicts',3,X'FBA400B186B359C2556E1DCED8B1A961726E0B0D19DC1CD306162999866A8D4D');
INSERT INTO "chain" VALUES(9,'metrics',1,X'5C0048B2ABAB226EE32F1F0CDC020212CDF27A50D8196ED6A1128027B20E825A');
INSERT INTO "chain" VALUES(10,'notices',1,X'1E94FFF54D808813DA6C0AF0DA1616ED1CE471D2A45DA082CB15DCE07AF16559');
INSERT INTO "chain" VALUES(11,'checkpoints',1,X'5DB11D0BFE162CEDA7D6865D8F518A291B2D3C444AC359DBD647F2AA3785AD93');
INSERT INTO "chain" VALUES(12,'checkpoints',2,X'1D4A436298BE328CCB237F704F290E35991021D5A004088096712830B23637C5');
CREATE TABLE "checkpoints" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "branch" INTEGER,
   "step" INTEGER,
   "path" TEXT,
   "digest" TEXT,
   "kept_for" TEXT
);
INSERT INTO "checkpoints" VALUES(1,1.0,1,0,'checkpoints/0','d',NULL);
INSERT INTO "checkpoints" VALUES(2,1.0,1,5,'checkpoints/5','d',NULL);
CREATE TABLE "controls" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "who" TEXT,
   "action" TEXT,
   "arguments" TEXT,
   "why" TEXT,
   "outcome" TEXT
);
CREATE TABLE "executions" (
   "id" INTEGER PRIMARY KEY,
   "sample" INTEGER,
   "position" INTEGER,
   "input" TEXT,
   "outcome" TEXT,
   "value" TEXT,
   "detail" TEXT,
   "cpu_ms" REAL,
   "wall_ms" REAL,
   "memory_kb" INTEGER
);
CREATE TABLE "findings" (
   "id" INTEGER PRIMARY KEY,
   "sample" INTEGER,
   "rule" TEXT,
   "severity" INTEGER,
   "part" TEXT,
   "span_start" INTEGER,
   "span_end" INTEGER,
   "why" TEXT
);
CREATE TABLE "metrics" (
   "id" INTEGER PRIMARY KEY,
   "branch" INTEGER,
   "step" INTEGER,
   "name" TEXT,
   "value" REAL
);
INSERT INTO "metrics" VALUES(1,1,1,'loss',1.0e-07);
CREATE TABLE "notices" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "source" TEXT,
   "message" TEXT
);
INSERT INTO "notices" VALUES(1,1.0e+17,'','é → 🐍 [31m "quoted"
');
CREATE TABLE "removals" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "checkpoint" INTEGER,
   "reason" TEXT
);
CREATE TABLE "rewards" (
   "id" INTEGER PRIMARY KEY,
   "sample" INTEGER,
   "branch" INTEGER,
   "step" INTEGER,
   "reward" REAL,
   "advantage" REAL,
   "trained" INTEGER
);
CREATE TABLE "run" (
   "id" INTEGER PRIMARY KEY,
   "name" TEXT,
   "created_at" REAL,
   "version" TEXT,
   "seed" INTEGER,
   "steps" INTEGER,
   "config" TEXT
);
INSERT INTO "run" VALUES(1,'old',1.5,'0',0,9,'');
CREATE TABLE "samples" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "branch" INTEGER,
   "step" INTEGER,
   "phase" TEXT,
   "role" TEXT,
   "kind" TEXT,
   "uid" TEXT,
   "task" TEXT,
   "prompt" TEXT,
   "response" TEXT,
   "reasoning" TEXT,
   "program" TEXT,
   "input" TEXT,
   "message" TEXT,
   "answer" TEXT,
   "tokens" INTEGER,
   "well_formed" INTEGER,
   "correct" INTEGER,
   "outcome" TEXT,
   "problem" TEXT
);
INSERT INTO "samples" VALUES(1,100.0,1,1,'solve','solve','deduction','1-0','t1','prompt 0','response 0 é 🐍','text 0','text 0','text 0','text 0','text 0',10,1,1,'ok','');
INSERT INTO "samples" VALUES(2,101.0,1,1,'solve','solve','deduction','1-1','t1','prompt 1','response 1 é 🐍','text 1','text 1','text 1','text 1','text 1',11,1,0,'ok','');
INSERT INTO "samples" VALUES(3,102.0,1,1,'solve','solve','deduction','1-2','t1','prompt 2','response 2 é 🐍','text 2','text 2','text 2','text 2','text 2',12,1,1,'ok','');
CREATE TABLE "scores" (
   "id" INTEGER PRIMARY KEY,
   "sample" INTEGER,
   "classifier" TEXT,
   "category" TEXT,
   "value" REAL
);
CREATE TABLE "states" (
   "id" INTEGER PRIMARY KEY,
   "time" REAL,
   "state" TEXT,
   "where_at" TEXT,
   "reason" TEXT
);
CREATE TABLE "steps" (
   "id" INTEGER PRIMARY KEY,
   "branch" INTEGER,
   "step" INTEGER,
   "started_at" REAL,
   "seconds" REAL
);
CREATE TABLE "tasks" (
   "id" INTEGER PRIMARY KEY,
   "sample" INTEGER,
   "branch" INTEGER,
   "step" INTEGER,
   "task" TEXT,
   "kind" TEXT,
   "program" TEXT,
   "inputs" TEXT,
   "outputs" TEXT,
   "shown" INTEGER,
   "message" TEXT
);
CREATE TABLE "verdicts" (
   "id" INTEGER PRIMARY KEY,
   "sample" INTEGER,
   "allowed" INTEGER,
   "action" INTEGER,
   "severity" INTEGER,
   "score" REAL,
   "reason" TEXT
);
INSERT INTO "verdicts" VALUES(1,1,1,NULL,NULL,0.0,NULL);
INSERT INTO "verdicts" VALUES(2,2,1,NULL,NULL,3.33333333333333314829e-01,NULL);
INSERT INTO "verdicts" VALUES(3,3,1,NULL,NULL,6.66666666666666629659e-01,NULL);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE TRIGGER run_no_update BEFORE UPDATE ON run BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER run_no_delete BEFORE DELETE ON run BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER branches_no_update BEFORE UPDATE ON branches BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER branches_no_delete BEFORE DELETE ON branches BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER states_no_update BEFORE UPDATE ON states BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER states_no_delete BEFORE DELETE ON states BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER steps_no_update BEFORE UPDATE ON steps BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER steps_no_delete BEFORE DELETE ON steps BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER metrics_no_update BEFORE UPDATE ON metrics BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER metrics_no_delete BEFORE DELETE ON metrics BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER samples_no_update BEFORE UPDATE ON samples BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER samples_no_delete BEFORE DELETE ON samples BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER tasks_no_update BEFORE UPDATE ON tasks BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER tasks_no_delete BEFORE DELETE ON tasks BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER executions_no_update BEFORE UPDATE ON executions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER executions_no_delete BEFORE DELETE ON executions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER findings_no_update BEFORE UPDATE ON findings BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER findings_no_delete BEFORE DELETE ON findings BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER scores_no_update BEFORE UPDATE ON scores BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER scores_no_delete BEFORE DELETE ON scores BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER verdicts_no_update BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER verdicts_no_delete BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER rewards_no_update BEFORE UPDATE ON rewards BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER rewards_no_delete BEFORE DELETE ON rewards BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alerts_no_update BEFORE UPDATE ON alerts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alerts_no_delete BEFORE DELETE ON alerts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alert_acks_no_update BEFORE UPDATE ON alert_acks BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alert_acks_no_delete BEFORE DELETE ON alert_acks BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER controls_no_update BEFORE UPDATE ON controls BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER controls_no_delete BEFORE DELETE ON controls BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER notices_no_update BEFORE UPDATE ON notices BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER notices_no_delete BEFORE DELETE ON notices BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER audits_no_update BEFORE UPDATE ON audits BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER audits_no_delete BEFORE DELETE ON audits BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE INDEX "idx_metrics_name_branch_step"
    ON "metrics" ("name", "branch", "step");
CREATE INDEX "idx_samples_branch_step"
    ON "samples" ("branch", "step");
CREATE INDEX "idx_samples_task"
    ON "samples" ("task");
CREATE INDEX "idx_tasks_task"
    ON "tasks" ("task");
CREATE INDEX "idx_executions_sample"
    ON "executions" ("sample");
CREATE INDEX "idx_findings_sample"
    ON "findings" ("sample");
CREATE INDEX "idx_findings_rule"
    ON "findings" ("rule");
CREATE INDEX "idx_scores_sample"
    ON "scores" ("sample");
CREATE INDEX "idx_verdicts_sample"
    ON "verdicts" ("sample");
CREATE INDEX "idx_rewards_sample"
    ON "rewards" ("sample");
CREATE INDEX "idx_alerts_severity"
    ON "alerts" ("severity");
CREATE INDEX "idx_audits_audit"
    ON "audits" ("audit");
CREATE INDEX "idx_checkpoints_branch_step"
    ON "checkpoints" ("branch", "step");
CREATE TRIGGER chain_no_update BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER chain_no_delete BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER run_no_replace BEFORE INSERT ON run WHEN EXISTS (SELECT 1 FROM run WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER branches_no_replace BEFORE INSERT ON branches WHEN EXISTS (SELECT 1 FROM branches WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER states_no_replace BEFORE INSERT ON states WHEN EXISTS (SELECT 1 FROM states WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER steps_no_replace BEFORE INSERT ON steps WHEN EXISTS (SELECT 1 FROM steps WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER metrics_no_replace BEFORE INSERT ON metrics WHEN EXISTS (SELECT 1 FROM metrics WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER samples_no_replace BEFORE INSERT ON samples WHEN EXISTS (SELECT 1 FROM samples WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER tasks_no_replace BEFORE INSERT ON tasks WHEN EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER executions_no_replace BEFORE INSERT ON executions WHEN EXISTS (SELECT 1 FROM executions WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER findings_no_replace BEFORE INSERT ON findings WHEN EXISTS (SELECT 1 FROM findings WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER scores_no_replace BEFORE INSERT ON scores WHEN EXISTS (SELECT 1 FROM scores WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER verdicts_no_replace BEFORE INSERT ON verdicts WHEN EXISTS (SELECT 1 FROM verdicts WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER rewards_no_replace BEFORE INSERT ON rewards WHEN EXISTS (SELECT 1 FROM rewards WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alerts_no_replace BEFORE INSERT ON alerts WHEN EXISTS (SELECT 1 FROM alerts WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER alert_acks_no_replace BEFORE INSERT ON alert_acks WHEN EXISTS (SELECT 1 FROM alert_acks WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER controls_no_replace BEFORE INSERT ON controls WHEN EXISTS (SELECT 1 FROM controls WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_no_replace BEFORE INSERT ON checkpoints WHEN EXISTS (SELECT 1 FROM checkpoints WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER notices_no_replace BEFORE INSERT ON notices WHEN EXISTS (SELECT 1 FROM notices WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER audits_no_replace BEFORE INSERT ON audits WHEN EXISTS (SELECT 1 FROM audits WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER chain_no_replace BEFORE INSERT ON chain WHEN EXISTS (SELECT 1 FROM chain WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE INDEX verdicts_blocked ON verdicts(sample) WHERE allowed = 0;
CREATE TRIGGER branch_changes_no_update BEFORE UPDATE ON branch_changes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER branch_changes_no_delete BEFORE DELETE ON branch_changes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER branch_changes_no_replace BEFORE INSERT ON branch_changes WHEN EXISTS (SELECT 1 FROM branch_changes WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER removals_no_update BEFORE UPDATE ON removals BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER removals_no_delete BEFORE DELETE ON removals BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER removals_no_replace BEFORE INSERT ON removals WHEN EXISTS (SELECT 1 FROM removals WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
